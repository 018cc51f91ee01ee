"""Rows that Spark has cached are not taken for those that lie in the lake now."""

import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from headrace.recipe.lake_sections import Table
from headrace.source.list_table import list_table
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import open_table
from tests.prepare.daily import build, read_rows, write_day, write_places

pytestmark = pytest.mark.spark


def write(folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [number]}), folder / "a.parquet")


def read(spark: SparkSession, table: Table) -> list[int]:
    listing = list_table(table, {})
    opened = open_table(spark, "t", table, NeededColumns.from_names(["id"]), listing)
    return [row["id"] for row in opened.frame.collect()]


@pytest.mark.parametrize("pattern", ["t", "t/day=1", "t/*"])
def test_a_path_that_a_program_cached(tmp_path: Path, spark: SparkSession, pattern: str) -> None:
    write(tmp_path / "t" / "day=1", 1)
    path = f"{tmp_path}/{pattern}"
    own = spark.read.parquet(path).cache()
    assert own.count() == 1
    write(tmp_path / "t" / "day=1", 2)
    assert read(spark, Table(path=path)) == [2]
    own.unpersist()


def test_a_table_of_the_catalog_that_a_program_cached(tmp_path: Path, spark: SparkSession) -> None:
    write(tmp_path / "t", 1)
    spark.sql("drop table if exists cached_rows")
    spark.sql(f"create table cached_rows (id bigint) using parquet location '{tmp_path}/t'")
    try:
        spark.sql("cache table cached_rows")
        write(tmp_path / "t", 2)
        assert read(spark, Table(table="cached_rows")) == [2]
    finally:
        spark.sql("drop table cached_rows")


@pytest.mark.classic
def test_a_build_leaves_nothing_cached(tmp_path: Path, spark: SparkSession) -> None:
    for day in (1, 2):
        write_day(tmp_path, day)
    write_places(tmp_path)
    before = spark.sparkContext._jsc.getPersistentRDDs().size()
    first = build(tmp_path)
    assert spark.sparkContext._jsc.getPersistentRDDs().size() == before
    shutil.copytree(tmp_path / "dataset", tmp_path / "kept")
    write_places(tmp_path, height=5.0)
    second = build(tmp_path)
    heights = [set(read_rows(done.dataset)["height"]) for done in (first, second)]
    assert heights[0] != heights[1]
    whole = build(tmp_path, f"dataset.path={tmp_path / 'kept'}", full=True)
    pd.testing.assert_frame_equal(read_rows(whole.dataset), read_rows(second.dataset))
