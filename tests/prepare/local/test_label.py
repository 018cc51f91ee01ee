"""Labels on Arrow are those that Spark computes of the SQL, or are left to it."""

import math
from typing import Any

import pyarrow as pa
import pytest

from headrace.prepare.local.label import read_expressions
from headrace.recipe import Recipe
from headrace.source.internal_columns import BASELINE, LABEL, WEIGHT
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.raw_schema import RawSchema
from tests.prepare.local.plain_table import make_recipe

COLUMNS: dict[str, pa.Array] = {
    "n": pa.array([0, 1, None, 3]),
    "x": pa.array([0.5, None, -1.0, 2.0]),
    "t": pa.array(["a", "b", None, "a"]),
    "b": pa.array([True, False, None, True]),
}


def recipe_of(expression: str, **label: Any) -> Recipe:
    features = {"z": {"kind": "standardize"}}
    return make_recipe(
        "/lake", "/dataset", label={"expression": expression, **label}, features=features
    )


def schema() -> RawSchema:
    import pyspark.sql.types as T

    kinds = {"n": T.LongType(), "x": T.DoubleType(), "t": T.StringType(), "b": T.BooleanType()}
    return RawSchema.from_spark_types(kinds)


def compute(recipe: Recipe, name: str = LABEL, **columns: pa.Array) -> list[Any]:
    expressions = {e.name: e for e in read_expressions(recipe, schema())}
    given = {**COLUMNS, **columns}
    return list(expressions[name].compute(given, len(given["n"])).to_pylist())


@pytest.mark.parametrize(
    ("expression", "kind", "expected"),
    [
        ("n = 1", "binary", [0.0, 1.0, None, 0.0]),
        ("n > 0 AND x > 0", "binary", [0.0, None, 0.0, 1.0]),
        ("t IN ('a', 'c')", "binary", [1.0, 0.0, None, 1.0]),
        ("NOT (t = 'a') OR n IS NULL", "binary", [0.0, 1.0, 1.0, 0.0]),
        ("x >= 0.5", "binary", [1.0, None, 0.0, 1.0]),
        ("b", "binary", [1.0, 0.0, None, 1.0]),
        ("n", "regression", [0.0, 1.0, None, 3.0]),
        (" `x` ", "regression", [0.5, None, -1.0, 2.0]),
        ("t", "classes", ["a", "b", None, "a"]),
        ("n", "classes", ["0", "1", None, "3"]),
    ],
)
def test_values(expression: str, kind: str, expected: list[Any]) -> None:
    assert compute(recipe_of(expression, kind=kind)) == expected


def test_numbers_that_are_not_finite() -> None:
    odd = pa.array([math.nan, math.inf, None, 1.0])
    recipe = recipe_of("x", kind="regression", sample_weight="x", baseline="x")
    assert compute(recipe, x=odd) == [None, None, None, 1.0]
    assert compute(recipe, BASELINE, x=odd) == [None, None, None, 1.0]
    assert [str(w) for w in compute(recipe, WEIGHT, x=odd)] == ["nan", "inf", "None", "1.0"]


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("n + 1 > 2", "binary"), ("abs(x) > 1", "binary"), ("t LIKE 'a%'", "binary"),
        ("current_date", "regression"), ("upper(t)", "classes"), ("x", "classes"),
        ("n * 2", "regression"), ("other = 1", "binary"), ("b = true", "binary"),
    ],
)  # fmt: skip
def test_what_is_left_to_spark(expression: str, kind: str) -> None:
    with pytest.raises(NeedsSparkError):
        read_expressions(recipe_of(expression, kind=kind), schema())


@pytest.mark.parametrize(
    ("expression", "column"),
    [
        ("x > 1", {"x": pa.array([math.nan, 1.0, 2.0, 3.0])}),
        ("x > 1", {"x": pa.array([5e-324, 1.0, 2.0, 3.0])}),
        ("n > 1", {"n": pa.array([-(2**63), 1, 2, 3])}),
    ],
)
def test_values_that_spark_compares_otherwise(expression: str, column: dict[str, pa.Array]) -> None:
    with pytest.raises(NeedsSparkError, match="has "):
        compute(recipe_of(expression, kind="binary"), **column)
