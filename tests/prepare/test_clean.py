"""Raw rows, labelled and checked, with the columns that the first job's tasks need of them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prepare.assign import Buckets
from headrace.prepare.clean import CleanRows, clean_rows
from headrace.prepare.plan import make_plan
from headrace.source.internal_columns import BUCKET, FILE, LABEL, POSITION
from headrace.source.read import read_raw
from tests.tiny import tiny_recipe

pytestmark = pytest.mark.spark

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RULES = "clean.rules=[{kind: range, column: amount, max: 40, on_violation: drop}]"
ROWS = {
    "visit": [1, 2, 3], "day": [1, 1, 2], "shop": ["a", "b", "c"], "amount": [10.0, 99.0, 30.0],
    "clock": [10, 20, 30], "note": ["x", "y", None], "late": [True, True, None],
}  # fmt: skip


def clean(spark: Any, workdir: Path, *overrides: str, **columns: Any) -> CleanRows:
    lake = workdir / "lake"
    for name, table in {"visits": ROWS | columns, "shops": {"shop": ["a"], "size": [1.0]}}.items():
        (lake / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), lake / name / "part-0.parquet")
    recipe = tiny_recipe(workdir, RULES, *overrides)
    return clean_rows(recipe, read_raw(spark, recipe, make_plan(recipe, None)), None, None, NOW)


def list_buckets(rows: CleanRows) -> list[str]:
    names = Buckets(rows.checked.checks).names
    return [names[row[BUCKET]] for row in rows.rows.collect()]


def test_columns_that_no_condition_needs_are_left_to_the_tasks(spark: Any, tmp_path: Path) -> None:
    rows = clean(spark, tmp_path, "dataset.keep=[note]")
    assert rows.passthrough == {"note": "string"}
    assert rows.late is not None
    assert {"note", "clock", "shop"} <= set(rows.late.columns)
    assert not set(rows.late.columns) & {*rows.rows.columns, "late", "size"}
    assert {FILE, POSITION} <= set(rows.rows.columns)
    first, high, unlabelled = list_buckets(rows)
    assert first in ("train", "validation", "test")
    assert high == "range(amount)"
    assert unlabelled == "label is null"
    assert {"late", "amount", LABEL} <= set(rows.checked.schema.names)  # for the quarantine


def test_spark_reads_all_where_the_recipe_says_so(spark: Any, tmp_path: Path) -> None:
    rows = clean(spark, tmp_path, "source.tables.visits.read_with=spark")
    assert rows.late is None
    assert {"note", "clock", "shop", "size"} <= set(rows.rows.columns)
    assert POSITION not in rows.rows.columns


def test_labels_of_windows_are_later_values(spark: Any, tmp_path: Path) -> None:
    times = pa.array([0, 60, 120], pa.timestamp("s", "UTC"))
    rows = clean(
        spark, tmp_path, "clean.dedup=null", "derive={}", "source.joins=[]",
        "source.windows={key: [shop], order: at, step: 60, past: 2, ahead: 1, "
        "columns: {past: amount}, targets: {later: amount}}",
        "label={expression: later, kind: regression}",
        "split={time: {column: at, validation_from: '1970-01-02', test_from: '1970-01-03'}}",
        "features={past: {kind: series, length: 2}}", "model={kind: rnn}",
        at=times, shop=["a", "a", "a"],
    )  # fmt: skip
    assert rows.late is None
    assert LABEL not in rows.checked.schema.names  # the quarantine has the rows as they were read
    assert {"amount", "shop"} <= set(rows.checked.schema.names)
    labelled = {row["past"][-1]: row[LABEL] for row in rows.rows.collect()}
    # 99 breaks the rule, so it is in no window and no label
    assert labelled == {10.0: None, None: 30.0, 30.0: None}
    assert sorted(list_buckets(rows)) == ["label is null", "label is null", "range(amount)"]
