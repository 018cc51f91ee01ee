"""What is read of the lake, by Spark's plan: the columns and partitions that are needed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prepare.plan import make_plan
from headrace.source.read import read_raw
from tests import tiny
from tests.prepare.tiny_builds import build_anew
from tests.source.plans import describe_physical_plan

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("tiny_lake")]


def plan_of(frame: object) -> str:
    return describe_physical_plan(frame)


def test_the_plan_reads_only_the_columns_and_partitions_that_are_wanted(
    spark: object, tmp_path: Path, tiny_lake: Path
) -> None:
    table = tiny.visits().append_column("month", pa.array([n % 3 for n in range(tiny.ROWS)]))
    table = table.append_column("unused", table["note"])
    (tiny_lake / "visits" / "part-0.parquet").unlink()
    pq.write_to_dataset(table, str(tiny_lake / "visits"), partition_cols=["month"])
    recipe = tiny.tiny_recipe(tmp_path, "source.tables.visits.partitions=month = 1")
    raw = read_raw(spark, recipe, make_plan(recipe, None))
    tagged = tagged_of(raw, recipe)
    plan = plan_of(tagged)
    scan = next(line for line in plan.splitlines() if "FileScan" in line and "visit" in line)
    schema = scan[scan.index("ReadSchema:") :]
    assert "unused" not in schema
    for column in ("visit", "day", "shop", "amount", "clock", "note", "late"):
        assert column in schema
    assert "(month" in scan[scan.index("PartitionFilters:") : scan.index("PushedFilters:")]
    raw.unpersist()


def test_a_condition_on_rows_is_passed_on_to_the_files_and_counted(
    spark: object, tmp_path: Path
) -> None:
    override = "source.tables.visits.where=clock > 1200 AND late IS NOT NULL"
    recipe = tiny.tiny_recipe(tmp_path, override)
    raw = read_raw(spark, recipe, make_plan(recipe, None))
    plan = plan_of(tagged_of(raw, recipe))
    raw.unpersist()
    pushed = plan[plan.index("PushedFilters: [") :].split("]")[0]
    assert "GreaterThan(clock,1200)" in pushed
    assert "IsNotNull(late)" in pushed
    ledger = build_anew(tmp_path, override).build.ledger
    visits = tiny.visits().to_pandas()
    passing = int(((visits["clock"] > 1200) & visits["late"].notna()).sum())
    assert ledger.read == tiny.ROWS
    assert ledger.filtered["where of the main table"] == tiny.ROWS - passing
    assert ledger.filtered["label is null"] == 0


def tagged_of(raw: object, recipe: object) -> object:
    from headrace.prepare.assign import assign_rows
    from headrace.prepare.labels import add_labels
    from headrace.source.read import find_fit_inputs
    from headrace.source.rules import check_rows

    rows, schema = add_labels(raw.rows, raw.schema, recipe)
    checked = check_rows(rows, schema, recipe, raw.main)
    return assign_rows(checked, recipe, find_fit_inputs(recipe, schema).raw)


def test_small_joined_tables_are_broadcast(spark: object, tmp_path: Path) -> None:
    recipe = tiny.tiny_recipe(tmp_path)
    raw = read_raw(spark, recipe, make_plan(recipe, None))
    tagged = tagged_of(raw, recipe)
    tagged.count()
    assert "BroadcastHashJoin" in plan_of(tagged)
    raw.unpersist()


def test_what_lies_in_the_folder_and_is_no_data_is_recorded(
    spark: object, tmp_path: Path, tiny_lake: Path
) -> None:
    visits = tiny_lake / "visits"
    for name in ("_SUCCESS", ".part-0.parquet.crc", "_metadata", "_old/part-9.parquet", ".copy"):
        (visits / name).parent.mkdir(exist_ok=True)
        (visits / name).write_bytes(b"no Parquet file")
    recipe = tiny.tiny_recipe(tmp_path)
    raw = read_raw(spark, recipe, make_plan(recipe, None))
    raw.unpersist()
    assert raw.sources["visits"]["skipped"] == 2
    assert raw.sources["visits"]["skipped_paths"] == [f"{visits}/.copy", f"{visits}/_old"]
    assert "skipped" not in raw.sources["shops"]


def test_lists_with_nulls_in_files_of_several_dictionaries(tmp_path: Path, tiny_lake: Path) -> None:
    """Spark 4.3 fails on them in lambdas: by index of another row group's dictionary."""
    steps = [None if n % 5 == 1 else [n // 7 * 10 + n % 3, None][: 1 + n % 2] for n in range(600)]
    table = tiny.visits().append_column("steps", pa.array(steps, pa.list_(pa.int32())))
    table = table.append_column("reals", pa.array(steps, pa.list_(pa.float64())))
    (tiny_lake / "visits" / "part-0.parquet").unlink()
    pq.write_table(table, tiny_lake / "visits" / "part-0.parquet", row_group_size=7)
    ledger = build_anew(
        tmp_path,
        "source.tables.visits.columns={steps: 'list[real]', reals: 'list[integer]'}",
        "clean.rules=[{kind: expr, expression: 'not exists(steps, x -> x is null)', name: whole}]",
    ).build.ledger
    visits = tiny.visits().num_rows
    assert ledger.read == visits == len(steps)
    assert ledger.quarantined["whole"] == sum(step is not None and None in step for step in steps)
