"""Check the label that a column becomes, and that Spark computes the labels that the sample has."""

import pyarrow as pa
import pytest

from headrace.propose.label import LabelProposal, propose_label
from headrace.propose.label_choice import get_label_column
from tests.propose.tables import build_sample

TEXTS = ["a", "b", "c", "d"] * 25
# values, expression, kind, settings, why
TABLE = [
    ([True, False, None] * 20, "y", "binary", {}, "a truth value"),
    ([0, 1] * 50, "y = 1", "binary", {}, "two numbers: the larger one is meant"),
    ([0] * 97 + [1] * 3, "y = 1", "binary", {"class_weight": "balanced"}, "3% are rare"),
    (["no", "yes"] * 50, "y = 'yes'", "binary", {}, "yes is meant, and not no"),
    (["it's", "b", "b"] * 30, "y = 'it\\'s'", "binary", {}, "the rarer text"),
    (TEXTS, "y", "classes", {}, "a few texts, each often"),
    ([1, 2, 3, 5] * 30, "y", "classes", {}, "a few whole numbers, each often"),
    ([1.0, 2.0, 3.0, None] * 30, "try_cast(y AS bigint)", "classes", {}, "pandas' whole numbers"),
    ([0.0, 1.0, float("nan")] * 30, "nullif(y, double('NaN')) = 1.0", "binary", {}, "with NaN"),
    (list(range(100)), "y", "regression", {"standardize": True}, "numbers"),
    ([0.1, 0.2, 0.3] * 50, "y", "regression", {"standardize": True}, "numbers with a point"),
    (
        ["a", "b"] * 500 + [f"rare {n}" for n in range(30)],
        "CASE WHEN y IN ('a', 'b') THEN y WHEN y IS NOT NULL THEN '(other)' END",
        "classes", {"class_weight": "balanced"}, "rare ones together",
    ),
    (
        [1, 2] * 500 + [3] * 5,
        "CASE WHEN y IN (1, 2) THEN cast(y AS string) END",
        "classes", {}, "too few of the others for a class",
    ),
    (["a"] * 900 + [f"rare {n}" for n in range(100)], "y = 'a'", "binary", {}, "one and the rest"),
    (
        [f"{n} Inc." if n % 2 else f"{n} Air" for n in range(20)],
        "array_contains(split(y, ' '), 'Air')", "binary", {}, "a word that half of them have",
    ),
    ([f"{n:02}" for n in range(20)], "y > '09'", "binary", {}, "all different: which half"),
]  # fmt: skip


def propose_for(values: object, name: str = "y") -> LabelProposal:
    sample = build_sample({name: pa.array(values), "x": list(range(len(values)))})
    return propose_label(get_label_column(name, sample.columns, {}))


@pytest.mark.parametrize(("values", "expression", "kind", "settings", "why"), TABLE)
def test_the_label_that_a_column_becomes(
    values: list, expression: str, kind: str, settings: dict, why: str
) -> None:
    label = propose_for(values)
    assert (label.expression, label.kind) == (expression, kind), why
    assert dict(label.settings) == settings, why


@pytest.mark.spark
@pytest.mark.parametrize("values", [row[0] for row in TABLE], ids=[row[4] for row in TABLE])
def test_spark_gives_every_row_the_label_that_the_sample_has(values: list, spark: object) -> None:
    from headrace.prepare.labels import add_labels
    from headrace.source.internal_columns import LABEL
    from headrace.source.raw_schema import RawSchema
    from tests.tiny import tiny_recipe

    label = propose_for(values)
    recipe = tiny_recipe(__file__).model_copy(
        update={"label": tiny_recipe(__file__).label.model_validate(label.section)}
    )
    rows = spark.createDataFrame(pa.table({"y": pa.array(values)}))
    labelled, _ = add_labels(rows, RawSchema.from_frame(rows), recipe)
    labels = [row[0] for row in labelled.select(LABEL).collect()]
    assert labels == label.values.to_pylist()


def test_figures_are_of_the_sample() -> None:
    assert propose_for([0] * 75 + [1] * 25).reasons == ("true in 25 of 100 sampled rows (25%)",)
    assert propose_for(TEXTS).reasons == ("4 classes: 'a' 25%, 'b' 25%, 'c' 25%, 'd' 25%",)
    assert propose_for(list(range(101))).reasons == (
        "101 different numbers from 0 to 100, median 50",
    )


def test_codes_differ_by_label_and_halve_numbers() -> None:
    assert propose_for([0, 1, None] * 20).codes[:3].tolist() == [0, 1, -1]
    codes = propose_for([float(n) for n in range(100)]).codes
    assert codes.tolist() == [0] * 50 + [1] * 50
