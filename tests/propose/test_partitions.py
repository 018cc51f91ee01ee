"""Check the columns that are in the names of folders, and their types."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace.propose.partitions import add_partition_columns, infer_partition_types
from headrace.propose.sample import sample_table
from headrace.propose.table_files import TableFile, TableFiles
from tests.propose.tables import write_table


def build_files(*values: str | None) -> TableFiles:
    files = tuple(TableFile(f"p={value}/a", f"/t/p={value}/a", 1, {"p": value}) for value in values)
    return TableFiles("/t", "parquet", files)


@pytest.mark.parametrize(
    ("values", "column_type"),
    [
        (["1", "-2"], "integer"),
        (["1", "02"], "string"),  # a code
        ([str(2**63 - 1)], "integer"),
        ([str(2**63)], "string"),  # too large for 64 bits
        (["1.5", "2.0"], "real"),
        (["1", "2.5"], "string"),  # neither all whole nor all with a point
        (["2024-01-01", "2024-01-02 10:30"], "timestamp"),
        (["2024-01-01", "soon"], "string"),
        (["1", None], "integer"),
        ([None], "string"),
    ],
)
def test_types_are_those_of_all_values(values: list[str | None], column_type: str) -> None:
    assert infer_partition_types(build_files(*values)) == {"p": column_type}


def test_a_folder_s_column_hides_one_of_the_files() -> None:
    table = build_files("7", None)
    rows = pa.table({"p": ["hidden"] * 3, "x": [1, 2, 3]})
    first, second = table.files
    assert add_partition_columns(rows, [second, first, first], table).to_pydict() == {
        "x": [1, 2, 3],
        "p": [None, 7, 7],
    }


def test_columns_of_folders_are_typed_as_spark_types_them(tmp_path: Path) -> None:
    for day, kind in (("2024-01-01", "a"), ("2024-01-02", "__HIVE_DEFAULT_PARTITION__")):
        write_table(tmp_path / f"day={day}" / f"kind={kind}" / "n=01", {"x": [1]})
    sample = sample_table(str(tmp_path))
    types = {name: column.type.value for name, column in sample.columns.items()}
    assert types == {"x": "integer", "day": "timestamp", "kind": "string", "n": "string"}
    assert sample.columns["n"].declared_type == "string"  # or Spark would read 1
    assert sample.columns["kind"].declared_type == ""
    assert sorted(map(str, sample.columns["kind"].values.to_pylist())) == ["None", "a"]
    assert sample.partitions == ("day", "kind", "n")
