"""Check which files are a table's, of what format, and what is refused as none."""

import gzip
from pathlib import Path

import pytest

from headrace.errors import LakeError, OptionError
from headrace.propose.table_files import find_table
from tests.propose.tables import write_table


def write_files(folder: Path, *names: str, content: bytes = b"a,b\n1,2\n") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("names", "format_", "files"),
    [
        (["a.csv", "b.csv"], "csv", 2),
        (["a.tsv.gz"], "csv", 1),
        (["a.jsonl", "_SUCCESS", ".hidden.csv"], "json", 1),
        (["month=1/a.parquet", "month=2/b.parquet"], "parquet", 2),
        (["part-00000-c000.snappy.parquet"], "parquet", 1),
        (["a.csv", "archive/b.csv"], "csv", 1),  # Spark does not look into other folders
    ],
)
def test_the_names_tell_the_format(
    names: list[str], format_: str, files: int, tmp_path: Path
) -> None:
    table = find_table(str(write_files(tmp_path / "t", *names)), None)
    assert (table.format, len(table.files), table.reader_options) == (format_, files, {})


@pytest.mark.parametrize(
    ("content", "format_"),
    [(b"a,b\n1,2\n", "csv"), (b'  {"a": 1}\n', "json"), (b"[\n {}]", "json"), (b"PAR1", "parquet")],
)
def test_the_content_tells_it_where_names_do_not(
    content: bytes, format_: str, tmp_path: Path
) -> None:
    path = write_files(tmp_path, "part-00000", content=content)
    assert find_table(str(path / "part-00000"), None).format == format_


def test_a_pattern_a_file_and_a_compressed_one(tmp_path: Path) -> None:
    write_files(tmp_path, "a.csv", "b.json")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert [f.path for f in find_table(f"{tmp_path}/*.csv", None).files] == [f"{tmp_path}/a.csv"]
    compressed = find_table(str(tmp_path / "c.csv.gz"), None)
    assert compressed.files[0].is_compressed
    with compressed.open(compressed.files[0]) as stream:
        assert stream.read() == b"a\n1\n"


def test_values_of_folders_are_those_of_their_files(tmp_path: Path) -> None:
    table = find_table(
        str(write_files(tmp_path, "d=2024-01-01/k=a%20b/x.csv", "d=2/k=c/x.csv")), None
    )
    assert [dict(file.partition_values) for file in table.files] == [
        {"d": "2", "k": "c"},
        {"d": "2024-01-01", "k": "a b"},
    ]


def test_folders_of_dates_are_read_as_one_table(tmp_path: Path) -> None:
    table = find_table(str(write_files(tmp_path, "2024/01/31/a.csv", "2024/02/01/a.csv")), None)
    assert (len(table.files), table.reader_options) == (2, {"recursiveFileLookup": True})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.csv", "b.json"], r"several formats \(1 csv, 1 json\).*name the files you mean"),
        (["flights/a.csv", "weather/a.csv"], r"folders \(flights, weather\); name one of them"),
        (["a.xlsx"], "a spreadsheet: save it as CSV"),
        (["a.yaml"], "a YAML file; expected a table"),
        (["a.png", "b.png"], "an image: init reads images that are PNG or JPEG bytes in a column"),
        (["a.ipynb"], "a program; expected a table"),
        (["a.orc"], "ORC: write the recipe yourself"),
        (["_delta_log/0.json", "a.parquet"], "is a Delta table whose log cannot be read"),
        ([".hoodie/x", "a.parquet"], "is a Hudi table: not all of its files"),
        (
            ["metadata/v1.metadata.json", "data/a.parquet"],
            "is an Iceberg table, and only its catalog",
        ),
        (["_SUCCESS"], "there is no file at"),
    ],
)
def test_what_is_no_table_is_refused_with_a_way_out(
    names: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(LakeError, match=message):
        find_table(str(write_files(tmp_path / "t", *names)), None)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"there is nothing at .*/nothing"):
        find_table(str(tmp_path / "nothing"), None)
    (tmp_path / "empty.csv").touch()
    with pytest.raises(LakeError, match="are empty"):
        find_table(str(tmp_path), None)


def test_bytes_that_tell_nothing(tmp_path: Path) -> None:
    write_files(tmp_path, "a", content=b"\0\1\2")
    with pytest.raises(LakeError, match="pass --format parquet, csv or json"):
        find_table(str(tmp_path), None)


def test_a_format_that_is_none(tmp_path: Path) -> None:
    path = write_table(tmp_path, {"a": [1]})
    assert find_table(str(path), "csv").format == "csv"  # the option is believed
    with pytest.raises(OptionError, match="--format excel: expected one of csv, json, parquet"):
        find_table(str(path), "excel")
