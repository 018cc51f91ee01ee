"""A table, opened: declared types, values as they were read, and where its rows are from."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.internal_columns import FILE, POSITION, is_internal, name_before_cast
from headrace.source.list_table import list_table
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import RawTable, open_table

ID_ALONE = NeededColumns.from_names(["id"])

pytestmark = pytest.mark.spark

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int32()),
        "price": ["1.5", "x", None],
        "a.b": pa.array([1.0, 2.5, None]),
        "pixels": pa.array([[[1, 2], [3]], [[]], None], pa.list_(pa.list_(pa.int64()))),
    }
)


def opened(spark: Any, folder: Path, needed: list[str] | None = None, **changes: Any) -> RawTable:
    (folder / "day=7").mkdir(exist_ok=True, parents=True)
    pq.write_table(ROWS, folder / "day=7" / "a.parquet")
    table = Table(**({"path": str(folder)} | changes))
    return open_table(
        spark, "t", table, NeededColumns.from_names(needed or ["id"]), list_table(table, {})
    )


def test_columns_without_a_declared_type_stay_as_they_are(spark: object, tmp_path: Path) -> None:
    table = opened(spark, tmp_path)
    own = ["id", "price", "a.b", "pixels", "day"]
    assert [*table.stored.raw_types] == own
    assert table.schema.names == [*own, FILE, POSITION]
    assert (table.partition_columns, table.extra, table.problems) == (["day"], [], [])
    assert table.casts == {}
    assert table.frame.count() == 3
    assert [row[POSITION] for row in table.frame.collect()] == [0, 1, 2]


def test_declared_types_with_the_values_that_were_read(spark: object, tmp_path: Path) -> None:
    columns = {"price": "real", "id": "real", "a.b": "integer"}
    table = opened(spark, tmp_path, columns=columns)
    assert table.casts == {"price": "real", "a.b": "integer"}  # any int is a real number
    assert table.schema.sql_types["id"] == "double"
    assert table.extra == ["day", "pixels"]
    names = ("price", name_before_cast("price"), "a.b", name_before_cast("a.b"))
    rows = [tuple(row[name] for name in names) for row in table.frame.collect()]
    assert rows == [(1.5, "1.5", 1, 1.0), (None, "x", None, 2.5), (None, None, None, None)]
    assert name_before_cast("id") not in table.schema.names


def test_what_cannot_have_the_declared_type_is_a_problem(spark: object, tmp_path: Path) -> None:
    table = opened(spark, tmp_path, columns={"id": "timestamp", "none": "real"})
    assert len(table.problems) == 2
    assert table.problems[0].startswith("table 't': column 'id' has type integer, expected")
    assert table.problems[1].startswith("table 't': column 'none' is missing (needed by source.")
    assert table.schema.sql_types["id"] == table.stored.sql_types["id"]


def test_lists_of_lists_are_flattened_where_they_are_needed(spark: object, tmp_path: Path) -> None:
    table = opened(spark, tmp_path, ["pixels"])
    assert table.schema.sql_types["pixels"] == "array<bigint>"
    assert [row["pixels"] for row in table.frame.collect()] == [[1, 2, 3], [], None]
    assert table.schema.sql_types[name_before_cast("pixels")] == "array<array<bigint>>"
    assert opened(spark, tmp_path).schema.sql_types["pixels"] == "array<array<bigint>>"


def test_rows_are_those_of_its_condition(spark: object, tmp_path: Path) -> None:
    table = opened(spark, tmp_path, where="price IS NOT NULL")
    assert (table.frame.count(), table.unfiltered.count()) == (2, 3)
    with pytest.raises(LakeError, match=r"^source.tables.t.where \(nope = 1\): "):
        opened(spark, tmp_path, where="nope = 1")


def test_where_rows_can_be_found_again(spark: object, tmp_path: Path) -> None:
    by_spark = opened(spark, tmp_path, read_with="spark")
    assert [name for name in by_spark.schema.names if is_internal(name)] == [FILE]
    spark.range(2).createOrReplaceTempView("opened_numbers")
    view = open_table(spark, "t", Table(table="opened_numbers"), ID_ALONE, None)
    assert view.schema.names == ["id"]
    assert (view.where, view.partition_columns) == ("opened_numbers", [])
    spark.catalog.dropTempView("opened_numbers")


def test_columns_are_those_of_the_whole_table_whatever_files_are_read(
    spark: object, tmp_path: Path
) -> None:
    opened(spark, tmp_path)
    (tmp_path / "day=8").mkdir()
    pq.write_table(ROWS.slice(0, 1), tmp_path / "day=8" / "a.parquet")
    settings = Table(path=str(tmp_path))
    listing = list_table(settings, {})
    table = open_table(spark, "t", settings, ID_ALONE, listing, ["day=8/a.parquet"])
    assert [(row["id"], row["day"]) for row in table.frame.collect()] == [(1, 8)]
