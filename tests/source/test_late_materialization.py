"""Columns that the tasks read themselves: the same dataset as when Spark reads all of them."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark.sql.types as T
import pytest

from headrace.errors import LakeError
from headrace.lake import DatasetVersion
from headrace.prepare import prepare
from headrace.prepare.assign import assign_rows
from headrace.prepare.labels import add_labels
from headrace.prepare.plan import make_plan
from headrace.progress import ignore_progress
from headrace.recipe import build_recipe
from headrace.source.internal_columns import POSITION
from headrace.source.late_materialization import has_file_order, select_late_columns
from headrace.source.local_files import find_local_files
from headrace.source.raw_schema import RawSchema
from headrace.source.read import find_fit_inputs, read_raw
from headrace.source.rules import Check, check_rows
from headrace.source.tables import RawTable
from tests.prepare.tiny_builds import has_published_nothing, read_rows
from tests.source.plans import describe_physical_plan

ROWS = 3000


def table(first: int = 0, rows: int = ROWS) -> pa.Table:
    n = np.arange(first, first + rows)
    noise = np.random.default_rng(first).normal(size=rows)
    return pa.table(
        {
            "id": pa.array(n),
            "x": pa.array(noise, mask=n % 7 == 3),
            "count": pa.array((n % 11).astype(np.int32)),
            "flag": pa.array([None if i % 13 == 0 else bool(i % 2) for i in n]),
            "word": pa.array(["", "é", "日本 語", None, "tree"][i % 5] for i in n),
            "text": pa.array(f"{i % 17}.5" for i in n),  # cast to real by the contract
            "y": pa.array(n % 3 == 0),
        }
    )


def write(file: Path, rows: pa.Table) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, file, row_group_size=700)


def tree(workdir: Path, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "late",
        "source": {
            "tables": {"t": {"path": str(workdir / "lake"), "columns": {"text": "real"}}},
            "main": "t",
        },
        "label": {"expression": "y"},
        "split": {"key": ["id"], "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        "features": {
            "x": {"kind": "standardize"},
            "count": {"kind": "standardize"},
            "flag": {"kind": "vocabulary"},
            "word": {"kind": "vocabulary"},
            "text": {"kind": "standardize"},
        },
        "dataset": {
            "path": str(workdir / "dataset"),
            "rows_per_file": 800,
            "rows_per_row_group": 100,
        },
        "model": {"kind": "mlp"},
    }
    table_changes = changes.pop("table", {})
    plain["source"]["tables"]["t"] |= table_changes
    return plain | changes


def build(workdir: Path, name: str, **changes: Any) -> DatasetVersion:
    changes["dataset"] = {
        "path": str(workdir / name),
        "rows_per_file": 800,
        "rows_per_row_group": 100,
    }
    recipe = build_recipe(tree(workdir, **changes), source="late", environment={})
    return prepare(recipe, workdir=str(workdir), report=ignore_progress).dataset


def build_both_ways(workdir: Path, **changes: Any) -> DatasetVersion:
    """The dataset, after both ways of reading gave it row by row."""
    settings = changes.pop("table", {})
    late = build(workdir, "ours", table=settings, **changes)
    spark = build(workdir, "spark", table=settings | {"read_with": "spark"}, **changes)
    assert late.digest == spark.digest
    assert late.build.ledger == spark.build.ledger
    assert late.profile == spark.profile
    return late


def plan_late_columns(spark: object, workdir: Path, **changes: Any) -> tuple[set[str], bool, str]:
    """Late columns, whether rows keep their order, and the columns that Spark's scan reads."""
    recipe = build_recipe(tree(workdir, **changes), source="late", environment={})
    raw = read_raw(spark, recipe, make_plan(recipe, None))  # type: ignore[arg-type]
    rows, schema = add_labels(raw.rows, raw.schema, recipe)
    checked = check_rows(rows, schema, recipe, raw.main)
    fit_inputs = find_fit_inputs(recipe, schema)
    columns = select_late_columns(raw.main, checked.checks, fit_inputs.raw)
    assert not columns or find_local_files(raw.main)
    tagged = assign_rows(checked, recipe, fit_inputs.raw, columns)
    plan = describe_physical_plan(tagged)
    schema = next(line for line in plan.splitlines() if "FileScan" in line)
    return set(columns), has_file_order(tagged), schema[schema.index("ReadSchema:") :]


@pytest.mark.spark
def test_spark_reads_what_conditions_casts_and_keys_need_and_nothing_else(
    spark: object, tmp_path: Path
) -> None:
    write(tmp_path / "lake" / "a.parquet", table())
    late, in_order, scan = plan_late_columns(spark, tmp_path)
    assert late == {"x", "count", "flag", "word"}
    assert in_order
    for column, is_read in {"id": True, "y": True, "text": True, "x": False, "word": False}.items():
        assert (re.search(rf"[<,]{column}:", scan) is not None) is is_read, (column, scan)


@pytest.mark.spark
def test_many_files_with_odd_names_and_several_row_groups(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write(lake / "day=1" / "a b%20c#é.parquet", table(0, 1500))
    write(lake / "day=1" / "part-1.parquet", table(1500, 10))
    write(lake / "day=2" / "x.parquet", table(2000, 2111))
    dataset = build_both_ways(tmp_path)
    assert dataset.build.ledger.read == 3621
    assert sum(dataset.build.ledger.published.values()) == 3621


@pytest.mark.spark
def test_rows_that_are_filtered_dropped_or_doubled(tmp_path: Path) -> None:
    write(tmp_path / "lake" / "a.parquet", table())
    write(tmp_path / "lake" / "b.parquet", table(100, 50))  # the same keys again, other values
    changes: dict[str, Any] = {
        "table": {"where": "id < 500 OR id > 1700"},
        "clean": {
            "dedup": {"key": ["id"]},
            "rules": [
                {"kind": "range", "column": "x", "max": 2, "on_violation": "drop"},
                {"kind": "expr", "expression": "id % 10 != 1"},
                {"kind": "in", "column": "word", "values": ["", "é", "tree"], "on_violation": None},
            ],
        },
    }
    ledger = build_both_ways(tmp_path, **changes).build.ledger
    assert ledger.duplicates > 20
    assert ledger.filtered["where of the main table"] == 1201
    assert ledger.filtered["range(x)"] > 5
    assert ledger.quarantined["id % 10 != 1"] > 100


@pytest.mark.spark
def test_files_of_one_table_that_differ(tmp_path: Path) -> None:
    """Narrower numbers, floats, categories as pandas has them, a column that is not there."""
    lake = tmp_path / "lake"
    write(lake / "a.parquet", table())
    other = table(ROWS, 500)
    other = other.set_column(2, "count", other["count"].cast(pa.int8()))
    other = other.set_column(4, "word", other["word"].dictionary_encode())
    other = other.set_column(1, "x", other["x"].cast(pa.float32()))
    write(lake / "b.parquet", other)
    write(lake / "c.parquet", table(9000, 500).drop_columns(["word"]))
    # as pandas writes a column of None, and as it writes a timedelta
    odd = table(9500, 500).set_column(1, "x", pa.nulls(500))
    odd = odd.set_column(2, "count", odd["count"].cast(pa.int64()).cast(pa.duration("ns")))
    write(lake / "d.parquet", odd.set_column(4, "word", table(ROWS, 500)["word"]))
    rows = read_rows(build_both_ways(tmp_path))
    assert len(rows) == ROWS + 1500
    assert (rows["word"] == 0).sum() == (ROWS + 1000) // 5 + 500


@pytest.mark.spark
def test_texts_are_the_same_however_their_files_hold_them(tmp_path: Path) -> None:
    """As a dictionary, without one, and with one that was full before the file was."""
    lake = tmp_path / "lake"
    write(lake / "a.parquet", table())
    for name, first, options in (
        ("b", 3000, {"use_dictionary": False}),
        ("c", 6000, {"dictionary_pagesize_limit": 2000, "data_page_size": 1000}),
    ):
        rows = table(first)
        words = [f"w{i % 977}" if i % 9 else None for i in range(ROWS)]
        rows = rows.set_column(4, "word", pa.array(words))
        pq.write_table(rows, lake / f"{name}.parquet", row_group_size=1100, **options)
    write(lake / "d.parquet", table(9000))
    dataset = build_both_ways(tmp_path, clean={"dedup": {"key": ["id"]}})
    rows = read_rows(dataset)
    assert len(rows) == 4 * ROWS
    assert (rows["word"] == 0).sum() == 2 * ROWS // 5 + 2 * -(-ROWS // 9)
    keyless = build_both_ways(tmp_path / "again", table={"path": str(lake)})
    assert len(read_rows(keyless)) == 4 * ROWS


@pytest.mark.spark
def test_a_rule_that_makes_a_column_null_leaves_it_to_spark(spark: object, tmp_path: Path) -> None:
    write(tmp_path / "lake" / "a.parquet", table())
    rule = {"kind": "range", "column": "x", "max": 2, "on_violation": "null"}
    late, _, scan = plan_late_columns(spark, tmp_path, clean={"rules": [rule]})
    assert late == {"count", "flag", "word"}
    assert "x:double" in scan


@pytest.mark.spark
def test_where_rows_lose_their_order_spark_reads_all(spark: object, tmp_path: Path) -> None:
    write(tmp_path / "lake" / "a.parquet", table())
    clean = {"rules": [{"kind": "unique", "columns": ["id"]}]}
    assert not plan_late_columns(spark, tmp_path, clean=clean)[1]
    build_both_ways(tmp_path, clean=clean)


@pytest.mark.spark
def test_partition_columns_are_in_no_file(spark: object, tmp_path: Path) -> None:
    write(tmp_path / "lake" / "shop=a" / "a.parquet", table())
    write(tmp_path / "lake" / "shop=b" / "a.parquet", table(5000, 700))
    features = {"shop": {"kind": "vocabulary"}, "x": {"kind": "standardize"}}
    assert plan_late_columns(spark, tmp_path, features=features)[0] == {"x"}
    assert set(read_rows(build_both_ways(tmp_path, features=features))["shop"]) == {2, 3}


@pytest.mark.spark
@pytest.mark.parametrize("kind", ["another type", "a broken page"])
def test_a_file_that_spark_does_not_look_into_is_named(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "lake" / "a.parquet", table())
    bad = tmp_path / "lake" / "b.parquet"
    if kind == "another type":
        other = table(ROWS, 500)
        write(bad, other.set_column(1, "x", pa.array([f"{i}" for i in range(500)])))
        message = r"column 'x' has types .*: double in a.parquet, string in b.parquet"
    else:
        pq.write_table(table(ROWS, 500), bad, use_dictionary=False, compression="snappy")
        meta = pq.ParquetFile(bad).metadata.row_group(0).column(4)
        bytes_ = bytearray(bad.read_bytes())
        begin = meta.data_page_offset
        for place in range(begin, begin + meta.total_compressed_size):
            bytes_[place] = 0xFF
        bad.write_bytes(bytes_)
        message = r"b\.parquet cannot be read \(columns .*word.*restore or remove it"
    with pytest.raises(LakeError, match=rf"table 't': .*{message}|{message}") as caught:
        build(tmp_path, "dataset")
    assert "b.parquet" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert has_published_nothing(tmp_path)


@pytest.mark.spark
def test_columns_are_found_by_exact_name_or_by_spark(spark: object, tmp_path: Path) -> None:
    write(tmp_path / "lake" / "a.parquet", table())
    spark.conf.set("spark.sql.caseSensitive", "false")
    try:
        assert plan_late_columns(spark, tmp_path)[0] == set()
    finally:
        spark.conf.set("spark.sql.caseSensitive", "true")


def table_of_schema(case_sensitive: str = "true", **changes: Any) -> RawTable:
    """Return an opened table that no Spark has: its columns and the settings that are asked for."""
    stored = {
        "id": T.LongType(), "x": T.DoubleType(), "small": T.IntegerType(), "on": T.BooleanType(),
        "day": T.LongType(), "text": T.StringType(),
    }  # fmt: skip
    settings = {"spark.sql.caseSensitive": case_sensitive} | changes.pop("settings", {})
    session = SimpleNamespace(conf=SimpleNamespace(get=settings.get))
    rows: Any = SimpleNamespace(sparkSession=session)
    columns = {**stored, POSITION: T.LongType(), **changes.pop("columns", {})}
    fields: dict[str, Any] = {
        "name": "t", "where": "/lake", "unfiltered": rows, "frame": rows, "casts": {},
        "stored": RawSchema.from_spark_types(stored),  # type: ignore[arg-type]
        "schema": RawSchema.from_spark_types(columns),
        "partition_columns": ["day"], "extra": [], "problems": [],
    }  # fmt: skip
    return RawTable(**(fields | changes))


NEEDED: dict[str, Any] = {
    "id": "integer", "x": "real", "small": "integer", "on": "integer", "day": "integer",
    "text": "string",
}  # fmt: skip


def test_columns_that_no_sql_changes_may_be_read_late() -> None:
    late = {"id": "bigint", "x": "double", "on": "boolean", "text": "string"}
    # an int may be wider in another file, and partition columns are in no file
    assert select_late_columns(table_of_schema(), (), NEEDED) == late
    nulling = (Check("range(x)", "null", nulls="x"), Check("other", "drop"))
    del late["x"]
    assert select_late_columns(table_of_schema(), nulling, NEEDED) == late
    cast = table_of_schema(columns={"text": T.DoubleType()}, casts={"on": "boolean"})
    assert set(select_late_columns(cast, (), {**NEEDED, "text": "real"})) == {"id", "x"}
    # a whole number that the transform takes as a real one is converted by Spark
    assert set(select_late_columns(table_of_schema(), (), {"id": "real", "x": "real"})) == {"x"}


@pytest.mark.parametrize(
    "table",
    [
        table_of_schema("false"),
        table_of_schema(settings={"spark.sql.parquet.fieldId.read.enabled": "true"}),
        table_of_schema(schema=RawSchema.from_spark_types({"id": T.LongType()})),
    ],
    ids=["names in any case", "columns by id", "rows without a position"],
)
def test_tables_that_only_spark_reads(table: RawTable) -> None:
    assert select_late_columns(table, (), NEEDED) == {}
