"""Rows of Iceberg tables as Spark reads them by name: widened columns, values that no file has."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import DoubleType, LongType
from pyspark.sql import SparkSession

from headrace.errors import LakeError
from headrace.recipe import build_recipe
from headrace.recipe.lake_sections import Table
from headrace.source.list_table import list_table
from headrace.source.needed_columns import NeededColumns
from headrace.source.partition_pruning import can_prune, find_pruned_folders
from headrace.source.tables import open_table
from tests.lake.iceberg_tables import create_table, write_hint
from tests.tiny import tiny_tree

pytestmark = pytest.mark.spark


def read(spark: SparkSession, folder: Path) -> list[tuple[Any, ...]]:
    table = Table(path=str(folder))
    needed = NeededColumns.from_names(["id", "x"])
    opened = open_table(spark, "t", table, needed, list_table(table, {}))
    return sorted(tuple(row) for row in opened.frame.select("id", "x", "day").collect())


def rows_of(*ids: int, wide: bool = False) -> pa.Table:
    whole, real = (pa.int64(), pa.float64()) if wide else (pa.int32(), pa.float32())
    return pa.table(
        {
            "id": pa.array(ids, whole),
            "x": pa.array([0.5] * len(ids), real),
            "day": pa.array(["a"] * len(ids)),
        }
    )


def widen(table: IcebergTable) -> None:
    with table.update_schema() as update:
        update.update_column("id", LongType())
        update.update_column("x", DoubleType())


@pytest.mark.skipif(pyspark.__version__ < "4", reason="Spark 3 reads a file in its own width only")
def test_columns_that_were_widened(tmp_path: Path, spark: SparkSession) -> None:
    table = create_table(tmp_path / "t", rows_of(1), by=("day",))
    table.append(rows_of(1))
    widen(table)
    table.append(rows_of(2**40, wide=True))
    write_hint(table)
    assert read(spark, tmp_path / "t") == [(1, 0.5, "a"), (2**40, 0.5, "a")]


@pytest.mark.parametrize("format_", ["parquet", "iceberg"])
def test_a_condition_on_partitions(tmp_path: Path, spark: SparkSession, format_: str) -> None:
    table = create_table(tmp_path / "t", rows_of(1), by=("day",))
    for day in ("a", "b"):
        rows = rows_of(1, 2)
        table.append(rows.set_column(2, "day", pa.array([day] * 2)))
    write_hint(table)
    tree = tiny_tree()
    tree["source"]["tables"]["visits"] = {
        "path": str(tmp_path / "t"), "format": format_, "partitions": "day > 'a'",
    }  # fmt: skip
    recipe = build_recipe(tree, source="test", workdir=str(tmp_path), environment={})
    assert can_prune(recipe)
    listing = list_table(recipe.source.tables["visits"], {})
    assert listing is not None
    assert find_pruned_folders(spark, recipe, listing) == {"day=a"}


def drop_day(folder: Path) -> None:
    """Leave the column that the table is partitioned by out of its files, as Hive has them."""
    for path in (folder / "data").rglob("*.parquet"):
        rows = pq.ParquetFile(path).read()
        pq.write_table(rows.drop_columns(["day"]), path)


def test_a_column_that_no_file_has_is_that_of_the_partition(
    tmp_path: Path, spark: SparkSession
) -> None:
    table = create_table(tmp_path / "t", rows_of(1), by=("day",))
    table.append(rows_of(1, 2))
    write_hint(table)
    drop_day(tmp_path / "t")
    assert read(spark, tmp_path / "t") == [(1, 0.5, "a"), (2, 0.5, "a")]
    with table.update_spec() as spec:
        spec.remove_field("day")
    table.append(rows_of(3))
    write_hint(table)
    with pytest.raises(LakeError, match=r"has no column day, by which it is partitioned"):
        read(spark, tmp_path / "t")


def rename(table: IcebergTable) -> None:
    with table.update_schema() as update:
        update.rename_column("x", "y")


def swap(table: IcebergTable) -> None:
    for old, new in (("x", "z"), ("w", "x"), ("z", "w")):
        with table.update_schema() as update:
            update.rename_column(old, new)


def add_again(table: IcebergTable) -> None:
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("x")
    with table.update_schema() as update:
        update.add_column("x", DoubleType())


def rename_within(table: IcebergTable) -> None:
    with table.update_schema() as update:
        update.rename_column("items.element.price", "cost")


def drop(table: IcebergTable) -> None:
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("w")


def remove_old_schemas(table: IcebergTable) -> None:
    """Leave the current schema alone in the metadata, as those who expire snapshots may do."""
    path = Path(table.metadata_location.removeprefix("file://"))
    tree = json.loads(path.read_text())
    current = tree["current-schema-id"]
    tree["schemas"] = [item for item in tree["schemas"] if item["schema-id"] == current]
    for snapshot in tree["snapshots"]:
        snapshot["schema-id"] = current
    path.write_text(json.dumps(tree))
    write_hint(table)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (rename, "its x is the table's y, by its field id 2"),
        (swap, "its x is another column than the table's, by its field id 2"),
        (add_again, "its x is another column than the table's, by its field id 2"),
        (rename_within, r"its items.element.price is the table's items.element.cost"),
        (drop, ""),
    ],
)
def test_a_file_of_before_a_column_was_renamed_is_told_by_its_field_ids(
    tmp_path: Path, spark: SparkSession, change: Any, problem: str
) -> None:
    """The metadata names no schema any more in which the column had its old name."""
    rows = rows_of(1, wide=True)
    rows = rows.append_column("w", pa.array([1.5]))
    prices = pa.array([[{"price": 2.5}]], pa.list_(pa.struct([("price", pa.float64())])))
    table = create_table(tmp_path / "t", rows.append_column("items", prices))
    table.append(rows.append_column("items", prices))
    write_hint(table)
    settings = Table(path=str(tmp_path / "t"))
    before = list_table(settings, {})
    assert before is not None
    change(table)
    remove_old_schemas(table)
    if not problem:
        assert read(spark, tmp_path / "t") == [(1, 0.5, "a")]
        return
    for known in ({}, before.files):  # a build that knows the file, and has not opened it since
        with pytest.raises(LakeError, match=rf"Iceberg table with a file .*parquet: {problem}"):
            list_table(settings, known, before.schemas)
