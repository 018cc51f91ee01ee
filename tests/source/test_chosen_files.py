"""What Spark is given to read, and that it reads what was listed, whatever lies in the folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.chosen_files import choose_files, find_unequal_file
from headrace.source.list_table import list_table
from headrace.source.listing import Listing, group_by_partition
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import RawTable, open_table

ID_ALONE = NeededColumns.from_names(["id"])

spark_test = pytest.mark.spark


def write_ids(path: Path, *ids: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(ids)}), path)


def open_path(spark: Any, path: str, paths: list[str] | None = None, **changes: Any) -> RawTable:
    table = Table(path=path, **changes)
    return open_table(spark, "t", table, ID_ALONE, list_table(table, {}, "t"), paths)


def read_ids(table: RawTable) -> list[int]:
    return sorted(row["id"] for row in table.frame.select("id").collect())


def list_of(path: str) -> Listing:
    listing = list_table(Table(path=path), {})
    assert listing is not None
    return listing


def test_a_folder_is_tried_before_every_file_by_name() -> None:
    listing = Listing("/t", {"day=1/a": None, "day=2/b": None})  # type: ignore[dict-item]
    whole, by_name = choose_files("/t", listing, None)
    assert (whole.all, whole.chosen) == ("/t", "/t")
    assert by_name.chosen == ["/t/day=1/a", "/t/day=2/b"]
    assert by_name.options["basePath"] == "/t"
    some, all_by_name = choose_files("/t", listing, ["day=2/b"])
    assert (some.all, some.chosen) == ("/t", ["/t/day=2/b"])
    assert (all_by_name.all, all_by_name.chosen) == (by_name.chosen, ["/t/day=2/b"])
    (unknown,) = choose_files("hdfs://t", None, None)
    assert (unknown.all, unknown.chosen, unknown.options) == ("hdfs://t", "hdfs://t", {})


@spark_test
@pytest.mark.parametrize("format_", ["parquet", "csv", "json"])
def test_files_of_plain_subfolders_are_read(spark: Any, tmp_path: Path, format_: str) -> None:
    """Spark by itself reads those of the root alone, and none where there is none in the root."""
    for number, name in enumerate(["a", "2024/01/b", "2024/02/c"]):
        path = tmp_path / "t" / f"{name}.{format_}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if format_ == "parquet":
            write_ids(path, number)
        else:
            path.write_text(f"id\n{number}\n" if format_ == "csv" else f'{{"id": "{number}"}}\n')
    table = open_path(spark, f"{tmp_path}/t", format=format_)
    assert [int(i) for i in read_ids(table)] == [0, 1, 2]
    some = open_path(spark, f"{tmp_path}/t", [f"2024/01/b.{format_}"], format=format_)
    assert [int(i) for i in read_ids(some)] == [1]


@spark_test
@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_no_file_is_read_twice(spark: Any, tmp_path: Path, format_: str) -> None:
    """Files whose names have characters of patterns, beside others, in folders of no partition."""
    names = ["a", "plain/data[1]", "plain/{2}", "x?/b*", "x?/c", "[d]/e"]
    for number, name in enumerate(names):
        path = tmp_path / "t" / f"{name}.{format_}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if format_ == "parquet":
            write_ids(path, number)
        else:
            path.write_text(f"id\n{number}\n")
    for where in (f"{tmp_path}/t", f"{tmp_path}/t*"):
        table = open_path(spark, where, format=format_)
        assert [int(i) for i in read_ids(table)] == [0, 1, 2, 3, 4, 5]
    some = [f"{names[n]}.{format_}" for n in (1, 3, 5)]
    table = open_path(spark, f"{tmp_path}/t", some, format=format_)
    assert [int(i) for i in read_ids(table)] == [1, 3, 5]


@spark_test
@pytest.mark.classic  # a server names each file once
def test_a_file_that_spark_reads_twice_is_found(spark: Any, tmp_path: Path) -> None:
    write_ids(tmp_path / "a.parquet", 1)
    frame = spark.read.parquet(f"{tmp_path}/a.parquet", f"{tmp_path}/a.parquet")
    listing = list_of(str(tmp_path))
    assert "a.parquet twice" in str(find_unequal_file(frame, listing, None))
    assert find_unequal_file(spark.read.parquet(str(tmp_path)), listing, None) is None


@spark_test
@pytest.mark.parametrize(
    "name",
    ["[1]", "{2}", "a*b", "what?", "x y", "50%", "a%20b", "é#1", "a+b", "a;b", "_x=1", "a\\b"],
)
def test_no_character_of_a_path_has_a_meaning(spark: Any, tmp_path: Path, name: str) -> None:
    write_ids(tmp_path / name / "t" / "a.parquet", 1)
    write_ids(tmp_path / name / "t" / f"{name}.parquet", 2)
    write_ids(tmp_path / "1" / "t" / "a.parquet", 9)
    table = open_path(spark, f"{tmp_path}/{name}/t")
    assert read_ids(table) == [1, 2]
    assert read_ids(open_path(spark, f"{tmp_path}/{name}/t", ["a.parquet"])) == [1]


@spark_test
def test_summaries_of_other_writers_are_no_data(spark: Any, tmp_path: Path) -> None:
    """Spark takes Dask's `_metadata` for a file of the table."""
    write_ids(tmp_path / "a.parquet", 1)
    for name in ("_metadata", "_common_metadata"):
        pq.write_metadata(pa.schema([("id", pa.int64())]), tmp_path / name)
    assert read_ids(open_path(spark, str(tmp_path))) == [1]
    assert read_ids(open_path(spark, str(tmp_path), ["a.parquet"])) == [1]


@spark_test
def test_what_an_option_leaves_out_is_left_out(spark: Any, tmp_path: Path) -> None:
    write_ids(tmp_path / "a.parquet", 1)
    write_ids(tmp_path / "b.old", 2)
    table = open_path(spark, str(tmp_path), options={"pathGlobFilter": "*.parquet"})
    assert read_ids(table) == [1]


@spark_test
def test_a_pattern_reads_what_matches(spark: Any, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_ids(tmp_path / f"day-{number}" / "x" / "a.parquet", number)
    assert read_ids(open_path(spark, f"{tmp_path}/day-[12]")) == [1, 2]
    with pytest.raises(LakeError, match=r"table 't': there is nothing at .*day-9"):
        open_path(spark, f"{tmp_path}/day-9*")


def test_a_table_with_a_log_is_never_read_as_its_files(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"id": [1], "day": [1]}), partition_by=["day"])
    (inner,) = (tmp_path / "t").glob("day=*/*.parquet")
    for path in (tmp_path / "t" / "day=1", inner, tmp_path, tmp_path / "t" / "day=*"):
        with pytest.raises(LakeError, match=r"has files of a Delta table, .*/t, and not all of"):
            list_of(str(path))
    with pytest.raises(LakeError, match=r"is a Delta table, and source\.tables\.….format is csv"):
        list_table(Table(path=f"{tmp_path}/t", format="csv"), {})
    for name, message in (
        (".hoodie", "a Hudi table: not all of"),
        ("metadata", "only its catalog"),
    ):
        (tmp_path / f"t{name}" / name).mkdir(parents=True)
        (tmp_path / f"t{name}" / name / "v1.metadata.json").touch()
        with pytest.raises(LakeError, match=message):
            list_of(f"{tmp_path}/t{name}")


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        ("files", {"format": "delta"}, r"no table with a log: .*….format: delta is for another"),
        ("files", {"version_as_of": 3}, r"no table with a log: .*….version_as_of is for another"),
        ("files", {"metadata": "v1"}, r"no table with a log: .*….metadata is for another kind"),
        (
            "delta",
            {"format": "iceberg"},
            r"is a Delta table, and .*….format: iceberg is for another",
        ),
        ("delta", {"metadata": "v1"}, r"is a Delta table, and .*….metadata is for another kind"),
        ("delta", {"format": "orc"}, r"is a Delta table, and .*….format is orc: .* or say delta"),
        ("delta", {"version_as_of": 7}, r"log cannot be read at 7"),
        ("delta/a.parquet", {}, r"has files of a Delta table"),
    ],
)
def test_a_table_of_another_kind_than_the_recipe_says(
    tmp_path: Path, kind: str, keys: dict[str, Any], message: str
) -> None:
    write_ids(tmp_path / "files" / "a.parquet", 1)
    write_deltalake(tmp_path / "delta", pa.table({"id": [1]}))
    write_ids(tmp_path / "delta" / "a.parquet", 1)
    with pytest.raises(LakeError, match=message):
        list_table(Table(path=f"{tmp_path}/{kind}", **keys), {})


def test_delta_is_read_by_its_log_whether_it_is_said_or_not(tmp_path: Path) -> None:
    for number in range(2):
        write_deltalake(tmp_path, pa.table({"id": [number]}), mode="append")
    found = [
        list_table(Table(path=str(tmp_path), **keys), {}) for keys in ({}, {"format": "delta"})
    ]
    assert found[0] is not None
    assert found[0] == found[1]
    assert [file.rows for file in found[0].files.values()] == [1, 1]
    first = list_table(Table(path=str(tmp_path), version_as_of=0), {})
    assert first is not None
    assert len(first.files) == 1
    # Only Delta's own reader knows what its options mean.
    assert list_table(Table(path=str(tmp_path), format="delta", options={"x": 1}), {}) is None


def test_files_at_different_depths_are_refused(tmp_path: Path) -> None:
    write_ids(tmp_path / "day=1" / "a.parquet", 1)
    write_ids(tmp_path / "root.parquet", 2)
    with pytest.raises(LakeError, match=r"different partition columns: none \(root.parquet\), day"):
        list_of(str(tmp_path))


@spark_test
def test_a_delta_table_is_read_by_its_log(spark: Any, tmp_path: Path) -> None:
    days = pa.table({"id": range(6), "day": ["1 a", "2%", "1 a", "2%", None, "1 a"]})
    write_deltalake(tmp_path, days, partition_by=["day"])
    DeltaTable(tmp_path).delete("id = 0")
    more = pa.table({"id": [9], "x": [1.5], "day": ["3"]})
    write_deltalake(tmp_path, more, mode="append", schema_mode="merge")
    table = open_path(spark, str(tmp_path))
    rows = sorted(tuple(row) for row in table.frame.select("id", "day", "x").collect())
    assert rows == [(1, "2%", None), (2, "1 a", None), (3, "2%", None), (4, None, None),
                    (5, "1 a", None), (9, "3", 1.5)]  # fmt: skip
    assert table.partition_columns == ["day"]
    groups = group_by_partition(list_of(str(tmp_path)), "partition")
    assert list(groups) == ["day=1 a", "day=2%25", "day=3", "day=__HIVE_DEFAULT_PARTITION__"]
    paths = [file.path for file in groups["day=2%25"]]
    assert read_ids(open_path(spark, str(tmp_path), paths)) == [1, 3]


@spark_test
def test_values_that_only_the_log_has(spark: Any, tmp_path: Path) -> None:
    """As in shallow clones, and where a writer gives its folders random names."""
    days = pa.table({"id": range(4), "day": [1, 2, 1, None]})
    write_deltalake(tmp_path / "origin", days, partition_by=["day"])
    log = tmp_path / "clone" / "_delta_log"
    log.mkdir(parents=True)
    name = "00000000000000000000.json"
    lines = []
    for line in (tmp_path / "origin" / "_delta_log" / name).read_text().splitlines():
        action = json.loads(line)
        if "add" in action:
            path = action["add"]["path"]
            if path.startswith("day=1"):
                shutil.copy(tmp_path / "origin" / path, tmp_path / "clone" / "random.parquet")
                action["add"]["path"] = "random.parquet"
            else:
                action["add"]["path"] = f"file://{tmp_path}/origin/{path}"
        lines.append(json.dumps(action))
    (log / name).write_text("\n".join(lines))
    table = open_path(spark, f"{tmp_path}/clone")
    rows = sorted(table.frame.select("id", "day").collect())
    assert [tuple(row) for row in rows] == [(0, 1), (1, 2), (2, 1), (3, None)]
    assert list(group_by_partition(list_of(f"{tmp_path}/clone"), "partition")) == [
        "day=1", "day=2", "day=__HIVE_DEFAULT_PARTITION__"
    ]  # fmt: skip


@spark_test
def test_a_streaming_sink_is_read_by_its_log(spark: Any, tmp_path: Path) -> None:
    for number in (1, 2):
        write_ids(tmp_path / "in" / f"{number}.parquet", number)
        stream = spark.readStream.schema("id bigint").parquet(f"{tmp_path}/in")
        query = stream.writeStream.format("parquet").option("path", f"{tmp_path}/out")
        query = query.option("checkpointLocation", f"{tmp_path}/state").trigger(availableNow=True)
        query.start().awaitTermination()
    write_ids(tmp_path / "out" / "part-never-committed.parquet", 99)
    table = open_path(spark, f"{tmp_path}/out")
    assert read_ids(table) == [1, 2]
    first = sorted(list_of(f"{tmp_path}/out").files)[:1]
    assert len(read_ids(open_path(spark, f"{tmp_path}/out", first))) == 1
