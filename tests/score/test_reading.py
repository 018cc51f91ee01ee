"""Rows to score: the recipe without what is about training, and columns that the tasks need."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark.sql.types as T
import pytest

from headrace.errors import LakeError, RecipeError
from headrace.recipe import Recipe
from headrace.score.contract import get_arrow_types
from headrace.score.plan import make_plan
from headrace.score.reading import (
    RowsToScore,
    _select_rules,
    list_rules_about_many_rows,
    list_written_columns,
    read_rows_to_score,
    replace_main_table,
)
from headrace.source.internal_columns import BUCKET, FILE, POSITION, PROBLEMS, name_output_copy
from headrace.source.raw_schema import RawSchema
from headrace.transform.spec import TransformSpec
from tests.models import specs
from tests.tiny import tiny_recipe

SPEC = specs.make_spec(specs.NUMBER, specs.WORD)
# A model of an older Headrace: its rules are those of the recipe.
OLDER = SPEC.model_copy(update={"rules": None})
PLAIN = ("features={x: {kind: standardize}, w: {kind: vocabulary}}", "derive={}",
         "source.joins=[]", "split.key=[id]")  # fmt: skip


def test_the_table_to_score_takes_the_place_of_the_main_one(tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tmp_path, "source.tables.visits.where=day > 1", "source.tables.visits.columns={day: real}"
    )
    for table in ("s3://lake/new", "lake/new"):
        main = replace_main_table(recipe, table).source.tables["visits"]
        assert (main.path, main.table, main.where) == (table, None, "day > 1")
        assert main.columns == {"day": "real"}
    main = replace_main_table(recipe, "a.table").source.tables["visits"]
    assert (main.path, main.table) == (None, "a.table")
    other = replace_main_table(recipe, "a.table").source.tables["shops"]
    assert other == recipe.source.tables["shops"]


def test_what_is_about_training_or_many_rows_is_left_out(tmp_path: Path) -> None:
    rules = (
        "clean.rules=[{kind: unique, columns: [visit]}, {kind: not_null, columns: [day]}, "
        "{kind: unique, columns: [day, visit], name: once}]"
    )
    joins = (
        "source.joins=[{table: shops, key: [shop], columns: {size: size}, cardinality: one_to_one}]"
    )
    recipe = tiny_recipe(tmp_path, rules, joins, "label={expression: late, sample_weight: day}")
    reading = replace_main_table(recipe, "t")
    assert [rule.kind for rule in reading.clean.rules] == ["not_null"]
    assert reading.clean.dedup is None
    assert reading.label.sample_weight is None
    assert [join.cardinality for join in reading.source.joins] == ["many_to_one"]
    assert list_rules_about_many_rows(recipe) == ("unique(visit)", "once")


def test_columns_that_say_which_row_a_prediction_is_of(tmp_path: Path) -> None:
    assert list_written_columns(tiny_recipe(tmp_path)) == ["visit"]
    own = tiny_recipe(tmp_path, "score={key: [day, visit], columns: [shop, day]}")
    assert list_written_columns(own) == ["day", "visit", "shop"]
    with pytest.raises(RecipeError, match=r"score.key: there is no key"):
        list_written_columns(tiny_recipe(tmp_path, "clean.dedup=null"))


def test_types_are_those_that_were_read() -> None:
    kinds: dict[str, T.DataType] = {
        "a.b": T.ShortType(), "c": T.FloatType(), "d": T.DecimalType(9, 2), "e": T.DateType(),
        "f": T.BooleanType(), "g": T.StringType(),
    }  # fmt: skip
    schema = RawSchema.from_spark_types(kinds)
    assert get_arrow_types(schema, ["g", "a.b", "c", "d", "e", "f"]) == {
        "g": pa.string(), "a.b": pa.int16(), "c": pa.float32(), "d": pa.decimal128(9, 2),
        "e": pa.date32(), "f": pa.bool_(),
    }  # fmt: skip


@pytest.mark.parametrize("kind", [T.TimestampType(), T.TimestampNTZType()])
def test_times_are_moments_in_utc(kind: T.DataType) -> None:
    schema = RawSchema.from_spark_types({"t": kind})
    assert get_arrow_types(schema, ["t"]) == {"t": pa.timestamp("us", "UTC")}


@pytest.mark.parametrize(
    "wrap", [T.ArrayType, lambda kind: T.StructType([T.StructField("t", kind)])]
)
def test_times_within_columns_are_moments_in_utc(wrap: Any) -> None:
    (kind,) = get_arrow_types(
        RawSchema.from_spark_types({"c": wrap(T.TimestampType())}), ["c"]
    ).values()
    inner = kind.value_type if pa.types.is_list(kind) else kind.field("t").type
    assert inner == pa.timestamp("us", "UTC")


@pytest.mark.spark
def test_rules_about_columns_that_are_known_quarantine(spark: Any, tmp_path: Path) -> None:
    rules = (
        "clean.rules=[{kind: not_null, columns: [day, late]}, {kind: expr, expression: late > 0}, "
        "{kind: expr, expression: day > 0, on_violation: drop, max_fraction: 0.1}, "
        "{kind: range, column: day, max: 9, on_violation: null, name: high}, "
        "{kind: range, column: none, max: 9, name: absent}]"
    )
    recipe = tiny_recipe(tmp_path, rules)
    frame = spark.sql("SELECT 1L AS day, 2 AS late, 'a' AS shop")
    raw: Any = SimpleNamespace(rows=frame, schema=RawSchema.from_frame(frame))
    selected, left_out = _select_rules(recipe, raw, OLDER)
    assert [(rule.kind, rule.on_violation, rule.max_fraction) for rule in selected] == [
        ("expr", "quarantine", None), ("range", "null", None)
    ]  # fmt: skip
    assert left_out == ("not_null(day, late)", "late > 0", "absent")
    assert _select_rules(recipe, raw, SPEC) == ([], ())


def write_lake(workdir: Path) -> None:
    rows = pa.table(
        {
            "id": [1, 2, 3, 4],
            "x": [1.5, 99.0, None, -5.0],
            "w": ["a", "b", None, "c"],
            "paid": [True, False, None, True],
        }
    )
    for day in (1, 2):
        (workdir / "new" / f"day={day}").mkdir(parents=True)
        pq.write_table(rows, workdir / "new" / f"day={day}" / "a.parquet")


def read(spark: Any, recipe: Recipe, spec: TransformSpec, written: list[str]) -> RowsToScore:
    return read_rows_to_score(spark, recipe, make_plan(recipe, "t", None, full=True), spec, written)


@pytest.mark.spark
@pytest.mark.parametrize("read_with", ["auto", "spark"])
def test_rows_with_the_check_that_they_broke(spark: Any, tmp_path: Path, read_with: str) -> None:
    write_lake(tmp_path)
    rules = (
        "clean.rules=[{kind: expr, expression: id > 0}, {kind: not_null, columns: [w]}, "
        "{kind: range, column: x, min: 0, max: 50, on_violation: drop}]"
    )
    more = () if read_with == "auto" else ("source.tables.visits.read_with=spark",)
    recipe = replace_main_table(tiny_recipe(tmp_path, *PLAIN, rules, *more), f"{tmp_path}/new")
    rows = read(spark, recipe, OLDER, ["id", "paid", "day"])
    table = pa.Table.from_pylist([row.asDict() for row in rows.frame.collect()])
    assert table[BUCKET].to_pylist() == [0, 3, 2, 3] * 2
    common = {BUCKET, FILE, name_output_copy("paid"), name_output_copy("day")}
    if read_with == "spark":
        assert rows.late is None
        assert set(table.column_names) == common | {"x", "w", name_output_copy("id")}
    else:  # the tasks read all but what is no number or text of a file
        assert rows.late is not None
        assert set(rows.late.columns) == {"x", "w", "id"}
        assert set(table.column_names) == common | {POSITION, PROBLEMS}
    assert rows.raw.read == {"day=1": 4, "day=2": 4}
    assert rows.rules_left_out == ()


@pytest.mark.spark
def test_a_table_that_does_not_fit_the_model(spark: Any, tmp_path: Path) -> None:
    write_lake(tmp_path)
    recipe = replace_main_table(tiny_recipe(tmp_path, *PLAIN), f"{tmp_path}/new")
    with pytest.raises(LakeError, match=r"'tide' is missing \(needed by the model\)"):
        read(spark, recipe, specs.make_spec(specs.NUMBER, specs.SERIES), ["id"])
    with pytest.raises(LakeError, match=r"'none' is missing \(needed by score.key, score.columns"):
        read(spark, recipe, SPEC, ["none"])
