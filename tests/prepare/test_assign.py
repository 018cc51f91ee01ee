"""Where a row goes: the bucket of the first check that takes it out, or its split."""

from pathlib import Path
from typing import Any

import pyspark.sql.functions as F
import pyspark.sql.types as T
import pytest

from headrace.prepare.assign import BASELINE_MISSING, LABEL_MISSING, Buckets, assign_rows
from headrace.source.internal_columns import (
    BASELINE,
    BUCKET,
    FILE,
    KEY_DIGEST,
    LABEL,
    LATEST,
    POSITION,
    PROBLEMS,
    ROW_ID,
    TIE_BREAKER,
    name_mask,
)
from headrace.source.raw_schema import RawSchema
from headrace.source.rules import Check, CheckedRows
from tests.tiny import tiny_recipe

CHECKS = (Check("first", "drop"), Check("second", "quarantine"), Check("odd", "null"))


def test_buckets_are_splits_then_filters_then_checks_that_take_rows_out() -> None:
    names = Buckets(CHECKS).names
    assert names[:3] == ("train", "validation", "test")
    assert names[3:7] == Buckets(()).filters
    assert names[7:] == ("first", "second")


def checked(spark: Any, rows: list[dict[str, Any]], kinds: dict[str, T.DataType]) -> CheckedRows:
    schema = T.StructType([T.StructField(name, kind) for name, kind in kinds.items()])
    frame = spark.createDataFrame([tuple(r[n] for n in kinds) for r in rows], schema).coalesce(1)
    return CheckedRows(frame, RawSchema.from_frame(frame), CHECKS)


KINDS: dict[str, T.DataType] = {
    "visit": T.LongType(), "day": T.IntegerType(), "clock": T.DecimalType(20, 2),
    "amount": T.FloatType(), LABEL: T.DoubleType(), BASELINE: T.DoubleType(),
    name_mask(0): T.LongType(), PROBLEMS: T.StringType(), FILE: T.LongType(),
    POSITION: T.LongType(),
}  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "visit": 1, "day": 1, "clock": None, "amount": 0.5, LABEL: 1.0, BASELINE: 2.0,
        name_mask(0): 0, PROBLEMS: None, FILE: 7, POSITION: 3,
    }  # fmt: skip
    return plain | changes


@pytest.mark.spark
def test_a_row_goes_to_one_bucket(spark: object, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "label={expression: x, kind: regression, baseline: x}")
    rows = [
        row(**{name_mask(0): 0b001}),
        row(**{name_mask(0): 0b011}),  # quarantine before drop, whatever their order
        row(**{name_mask(0): 0b100}),  # its column became null, it stays
        row(**{LABEL: None, name_mask(0): 0b010}),
        row(**{LABEL: None, BASELINE: None}),
        row(**{BASELINE: None}),
    ]
    frame = assign_rows(checked(spark, rows, KINDS), recipe, {"amount": "real"})
    names = Buckets(CHECKS).names
    buckets = [names[r[BUCKET]] for r in frame.collect()]
    assert buckets[:2] == ["first", "second"]
    assert buckets[2] in ("train", "validation", "test")
    assert buckets[3:] == ["second", LABEL_MISSING, BASELINE_MISSING]


@pytest.mark.spark
def test_columns_are_those_that_the_tasks_need(spark: object, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "clean.dedup={key: [visit], latest_by: clock}")
    rows = checked(spark, [row()], KINDS)
    kinds = {"amount": "real", "day": "integer"}
    frame = assign_rows(rows, recipe, kinds, ["day"])  # type: ignore[arg-type]
    assert frame.columns == [
        "amount", FILE, POSITION, BASELINE, KEY_DIGEST, LATEST, name_mask(0), PROBLEMS, LABEL,
        BUCKET, ROW_ID, TIE_BREAKER,
    ]  # fmt: skip
    types = {f.name: f.dataType.simpleString() for f in frame.schema.fields}
    assert (types["amount"], types[BUCKET], types[LATEST]) == ("double", "int", "decimal(20,2)")
    keyless = tiny_recipe(tmp_path, "clean.dedup=null")
    plain = assign_rows(rows, keyless, kinds, with_file=True)  # type: ignore[arg-type]
    assert {FILE, "day"} <= set(plain.columns)
    assert not {POSITION, KEY_DIGEST, LATEST} & set(plain.columns)
    assert plain.collect()[0][ROW_ID] is None


@pytest.mark.spark
def test_the_identity_is_the_hash_of_the_whole_key(spark: object, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "clean.dedup={key: [visit, day]}")
    rows = [row(), row(amount=9.5), row(visit=2), row(visit=None)]
    first, same, other, keyless = assign_rows(
        checked(spark, rows, KINDS), recipe, {"amount": "real"}
    ).collect()
    assert first[ROW_ID] == same[ROW_ID] != other[ROW_ID]
    assert first[KEY_DIGEST] == same[KEY_DIGEST] != first[ROW_ID]
    assert (keyless[ROW_ID], keyless[KEY_DIGEST]) == (None, None)
    assert len(first[KEY_DIGEST]) == 16
    old = assign_rows(checked(spark, rows, KINDS), recipe, {"amount": "real"}, definition=1)
    assert isinstance(old.collect()[0][KEY_DIGEST], int)
    expected = spark.range(1).select(F.xxhash64(F.lit(1).cast("long"), F.lit(1).cast("long")))
    assert first[ROW_ID] == expected.collect()[0][0]  # a key of int is hashed as long
    assert first[TIE_BREAKER] == same[TIE_BREAKER]  # raw columns are hashed by the tasks


@pytest.mark.spark
def test_nulls_of_columns_that_settle_ties_have_their_place(spark: object, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "clean.dedup={key: [visit]}", "split.key=[amount, clock]")
    rows = [row(amount=2.0, clock=None), row(amount=None, clock=None), row(amount=2.0, clock=None)]
    kinds = {**KINDS, "clock": T.FloatType()}
    rows[1]["clock"] = 2.0
    first, moved, same = assign_rows(checked(spark, rows, kinds), recipe, {}).collect()
    assert first[TIE_BREAKER] == same[TIE_BREAKER] != moved[TIE_BREAKER]
    first, moved, _ = assign_rows(checked(spark, rows, kinds), recipe, {}, definition=1).collect()
    assert first[TIE_BREAKER] == moved[TIE_BREAKER]  # a hash passes over nulls
