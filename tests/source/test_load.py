"""Every format that Spark reads gives the same dataset; what is read is pruned in Spark's plan."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest
from deltalake import write_deltalake

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.list_table import list_table
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import RawTable, open_table
from tests import tiny
from tests.prepare.tiny_builds import build_anew, read_rows

ID_ALONE = NeededColumns.from_names(["id"])

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("tiny_lake")]

DECLARED = {
    "visit": "integer", "day": "integer", "shop": "string", "amount": "real", "clock": "integer",
    "note": "string", "late": "boolean",
}  # fmt: skip


def as_format(spark: object, workdir: Path, name: str) -> list[str]:
    """Write the visits in another format; the overrides that read it."""
    source, target = str(workdir / "lake" / "visits"), str(workdir / "lake" / name)
    frame = spark.read.parquet(source)
    if name == "catalog":
        frame.write.mode("overwrite").saveAsTable("visits_table")
        return ["source.tables.visits={table: visits_table}"]
    writer = frame.repartition(3).write.format(name)
    if name == "csv":
        # An empty text and a null are told apart.
        writer = writer.option("header", True).option("nullValue", "NULL")
    writer.save(target)
    declared = json.dumps(DECLARED) if name in ("csv", "json") else "{}"
    options = "{nullValue: 'NULL'}" if name == "csv" else "{}"
    return [
        f"source.tables.visits={{path: {target}, format: {name}, options: {options}, "
        f"columns: {declared}}}"
    ]


@pytest.mark.parametrize("name", ["csv", "json", "orc", "catalog"])
def test_every_format_gives_the_same_dataset(spark: object, tmp_path: Path, name: str) -> None:
    expected = build_anew(tmp_path)
    dataset = build_anew(tmp_path, *as_format(spark, tmp_path, name))
    assert dataset.build.ledger.published == expected.build.ledger.published
    assert dataset.build.ledger.duplicates == expected.build.ledger.duplicates
    assert dataset.build.transform_digest == expected.build.transform_digest
    columns = [c for c in read_rows(expected).columns if c != "row_id"]
    left, right = (
        read_rows(d)[columns].sort_values(columns).reset_index(drop=True)
        for d in (expected, dataset)
    )
    assert left.equals(right)
    if name == "catalog":
        spark.sql("DROP TABLE visits_table")


def test_a_delta_table_that_needs_its_jar_says_so(tmp_path: Path) -> None:
    """By its options, or by a feature that files alone do not obey."""
    table = "source.tables.visits"
    with pytest.raises(LakeError, match=r"this Spark cannot read delta; put its JAR"):
        build_anew(tmp_path, f"{table}.format=delta", f"{table}.options={{ignoreChanges: true}}")
    shutil.rmtree(tmp_path / "lake" / "visits")
    write_deltalake(tmp_path / "lake" / "visits", tiny.visits())
    log = next((tmp_path / "lake" / "visits" / "_delta_log").glob("*.json"))
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"]}  # fmt: skip
    lines = [line for line in log.read_text().splitlines() if '"protocol"' not in line]
    log.write_text("\n".join([json.dumps({"protocol": protocol}), *lines]))
    with pytest.raises(LakeError, match=r"this Spark cannot read delta; put its JAR"):
        build_anew(tmp_path, f"{table}.format=delta")
    with pytest.raises(LakeError, match=r"with the reader features deletionVectors, which its fi"):
        build_anew(tmp_path)


def test_a_table_the_catalog_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"Spark's catalog has no table nope\.visits"):
        build_anew(tmp_path, "source.tables.visits={table: nope.visits}")


@pytest.mark.parametrize("name", ["csv", "json"])
def test_lines_that_are_no_rows_go_to_quarantine(tmp_path: Path, name: str) -> None:
    visits = tiny.visits().to_pandas()
    folder = tmp_path / "lake" / name
    folder.mkdir()
    if name == "csv":
        visits.to_csv(folder / "a.csv", index=False)
        with (folder / "a.csv").open("a") as file:
            file.write("700,1,a,5.0,30,x,True,too,many\n701,1\n")
    else:
        visits.to_json(folder / "a.json", orient="records", lines=True)
        with (folder / "a.json").open("a") as file:
            file.write('{"visit": 700, "day"\n')
    bad = 2 if name == "csv" else 1
    declared = json.dumps(DECLARED)
    dataset = build_anew(
        tmp_path, f"source.tables.visits={{path: {folder}, format: {name}, columns: {declared}}}"
    )
    assert dataset.build.ledger.read == tiny.ROWS + bad
    assert dataset.build.ledger.quarantined["malformed"] == bad
    rejected = pq.read_table(f"{dataset.root}/{dataset.build.quarantine}").to_pandas()
    lines = rejected["malformed_line"].dropna()
    assert any("700" in line for line in lines)


def test_csv_files_with_other_headers_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "csv"
    folder.mkdir()
    visits = tiny.visits().to_pandas()
    visits.to_csv(folder / "a.csv", index=False)
    visits[visits.columns[::-1]].to_csv(folder / "b.csv", index=False)
    declared = json.dumps(DECLARED)
    with pytest.raises(LakeError, match=r"(?i)header"):
        build_anew(
            tmp_path, f"source.tables.visits={{path: {folder}, format: csv, columns: {declared}}}"
        )


def test_a_json_column_that_is_rare_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "json"
    folder.mkdir()
    rows = tiny.visits().to_pylist() * 3
    for number, row in enumerate(rows):
        row["visit"] = number
        if number == 1500:
            row["rare"] = "1.5"
    text = "\n".join(json.dumps({k: v for k, v in row.items() if v is not None}) for row in rows)
    (folder / "a.json").write_text(text)
    declared = json.dumps({**DECLARED, "rare": "real"})
    dataset = build_anew(
        tmp_path,
        f"source.tables.visits={{path: {folder}, format: json, columns: {declared}}}",
        "features.rare={kind: standardize}",
    )
    missing = next(c for c in dataset.profile.columns if c.name == "rare").missing
    assert sum(missing.values()) == sum(dataset.build.ledger.published.values()) - 1


def open_json(spark: Any, folder: Path, **options: Any) -> RawTable:
    table = Table(path=str(folder), format="json", options=options)
    needed = NeededColumns.from_names(["id", "day"])
    return open_table(spark, "t", table, needed, list_table(table, {}))


def test_lines_of_several_json_objects_are_refused(spark: Any, tmp_path: Path) -> None:
    """Spark would read the first of each line, as of files that a delivery stream left."""
    folder = tmp_path / "several"
    folder.mkdir()
    good = '{"id": "1", "text": "}{"}\n{"id": "2"} \n{"id": "3"'
    (folder / "a.json").write_text(good)
    assert open_json(spark, folder).frame.count() == 3
    (folder / "b.json").write_text('{"id": "4"}{"id": "5"} {"id": "6"}')
    with pytest.raises(LakeError, match=r"table 't' .*b\.json: on 1 line of .*\"5\""):
        open_json(spark, folder)
    (folder / "a.json").unlink()
    (folder / "b.json").write_text('{"id":\n"4"}')
    assert open_json(spark, folder, multiLine=True).frame.count() == 1


def test_a_column_of_folder_and_lines_is_told(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    (folder / "day=1").mkdir(parents=True)
    (folder / "day=1" / "a.json").write_text('{"id": "1", "day": 7}')
    table = open_json(spark, folder)
    assert [row["day"] for row in table.frame.collect()] == [1]
    (note,) = table.common.notes
    assert note.startswith("column 'day' is in lines of files and in the names of their folders")


@pytest.mark.parametrize("format_", ["parquet", "csv", "json"])
def test_folders_are_read_by_the_declared_type(spark: Any, tmp_path: Path, format_: str) -> None:
    """Spark guesses whole numbers for all of them, and a double for 1e3."""
    texts = ["01234", "10001", "1e3", "__HIVE_DEFAULT_PARTITION__"]
    for number, text in enumerate(texts):
        folder = tmp_path / "t" / f"zip={text}"
        folder.mkdir(parents=True)
        content = f"id\n{number}\n" if format_ == "csv" else f'{{"id": "{number}"}}\n'
        if format_ == "parquet":
            pq.write_table(pa.table({"id": [number]}), folder / "a.parquet")
        else:
            (folder / f"a.{format_}").write_text(content)
    table = Table(path=f"{tmp_path}/t", format=format_, columns={"zip": "string"})
    listing = list_table(table, {})
    assert listing is not None
    for paths in (None, sorted(listing.files)):
        rows = open_table(spark, "t", table, ID_ALONE, listing, paths).frame.select("id", "zip")
        found = {int(row["id"]): row["zip"] for row in rows.collect()}
        assert found == {0: "01234", 1: "10001", 2: "1e3", 3: None}
    integer = table.model_copy(update={"columns": {"zip": "integer"}})
    rows = open_table(spark, "t", integer, ID_ALONE, listing).frame.select("id", "zip")
    found = {int(row["id"]): row["zip"] for row in rows.collect()}
    assert found == {0: 1234, 1: 10001, 2: None, 3: None}  # 1e3 goes to quarantine


def write_csv(folder: Path, content: bytes) -> Path:
    (folder / "csv").mkdir()
    (folder / "csv" / "a.csv").write_bytes(content)
    return folder / "csv"


def read_csv(spark: Any, folder: Path, **options: str) -> list[tuple[Any, ...]]:
    table = Table(path=str(folder), format="csv", options=dict(options))
    needed = NeededColumns.from_names(["id", "text"])
    frame = open_table(spark, "t", table, needed, list_table(table, {})).frame
    malformed = next(name for name in frame.columns if "malformed" in name)
    rows = frame.select("id", "text", malformed).orderBy("id").collect()
    return [(row["id"], row["text"], row[malformed]) for row in rows]


def test_a_quote_within_quotes_is_written_twice(spark: Any, tmp_path: Path) -> None:
    folder = write_csv(tmp_path, b'id,text\n1,"a ""b"" c"\n2,"""x"""\n3,"y \\"" z"\n4,"5"""\n')
    rows = read_csv(spark, folder)
    assert [row[1] for row in rows] == ['a "b" c', '"x"', 'y \\" z', '5"']
    assert {row[2] for row in rows} == {None}


def test_another_quote_is_written_twice_as_well(spark: Any, tmp_path: Path) -> None:
    folder = write_csv(tmp_path, b"id,text\n1,'a ''b'' c'\n2,'d \\'e\\''\n")
    (first, second) = read_csv(spark, folder, quote="'")
    assert first == ("1", "a 'b' c", None)
    assert "set options.escape to a backslash" in second[2]


def test_a_quote_after_a_backslash_is_told_of(spark: Any, tmp_path: Path) -> None:
    folder = write_csv(tmp_path, b'id,text\n1,"a \\"b\\" c"\n2,plain\n')
    (first, second) = read_csv(spark, folder)
    assert first[2].startswith("text has a quote after a backslash (set options.escape to a back")
    assert second == ("2", "plain", None)
    (first, _) = read_csv(spark, folder, escape="\\")
    assert first == ("1", 'a "b" c', None)


def test_bytes_that_are_no_utf_8_are_told_of(spark: Any, tmp_path: Path) -> None:
    content = "id,text\n1,10\u20ac\n2,plain\n".encode("cp1252")
    folder = write_csv(tmp_path, content)
    (first, second) = read_csv(spark, folder)
    assert first[2] == (
        "text is no UTF-8 (if the file has another encoding, set options.encoding): 10\ufffd"
    )
    assert second == ("2", "plain", None)
    spark.conf.set("spark.sql.legacy.javaCharsets", "true")
    try:
        (first, _) = read_csv(spark, folder, encoding="windows-1252")
    finally:
        spark.conf.unset("spark.sql.legacy.javaCharsets")
    assert first == ("1", "10\u20ac", None)
    if pyspark.__version__ >= "4":
        with pytest.raises(LakeError, match=r"set spark.conf spark.sql.legacy.javaCharsets to tr"):
            read_csv(spark, folder, encoding="windows-1252")
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "a.json").write_bytes(b'{"id": "1", "text": "caf\xe9"}\n')
    table = Table(path=str(tmp_path / "json"), format="json")
    needed = NeededColumns.from_names(["id", "text"])
    frame = open_table(spark, "t", table, needed, list_table(table, {})).frame
    # what is no UTF-8 is fetched as bytes
    (row,) = frame.select(
        "text", frame["__headrace_malformed"].cast("binary").alias("line")
    ).collect()
    assert row["text"] is None  # to Spark such a line is malformed anyhow
    assert row["line"].startswith(b'{"id": "1"')
