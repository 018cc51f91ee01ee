"""Contenders agree where their rows, labels and vocabularies do, and figures are within limits."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.agreement import Output, find_disagreements, format_agreement
from headrace.examples.synthetic import CATEGORICAL, NUMERIC

OUTPUT = Output(
    rows={"train": 8000, "validation": 1000, "test": 1000},
    identities=10_000,
    positive=2500,
    mean=dict.fromkeys(NUMERIC, 0.0),
    std=dict.fromkeys(NUMERIC, 1.0),
    vocabulary=dict.fromkeys(CATEGORICAL, 100),
    problems=(),
)


def test_equal_outputs_agree() -> None:
    outputs = {"headrace": OUTPUT, "plain_spark": OUTPUT}
    assert find_disagreements(outputs) == []
    assert format_agreement(outputs).endswith("\nthe contenders agree")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"problems": ("i1 holds nulls",)}, "plain_spark: i1 holds nulls"),
        ({"identities": 9999}, "plain_spark: 10,000 rows, 9,999 row_ids"),
        ({"positive": 2501}, "headrace and plain_spark: positive 2,500 and 2,501"),
        (
            {"mean": OUTPUT.mean | {"i3": 0.002}},
            "plain_spark: i3 has mean 0.0020, deviation 1.0000 on train",
        ),
        (
            {"vocabulary": OUTPUT.vocabulary | {"c5": 101}},
            "headrace and plain_spark: c5 has 100 and 101 values",
        ),
    ],
)
def test_each_difference_is_named(changes: dict[str, Any], difference: str) -> None:
    outputs = {"headrace": OUTPUT, "plain_spark": replace(OUTPUT, **changes)}
    assert find_disagreements(outputs) == [difference]
    assert "THEY DISAGREE" in format_agreement(outputs)


def test_other_splits_may_differ_as_random_splits_do() -> None:
    # six standard deviations: 6 * sqrt(2 * 10,000 * 0.8 * 0.2) = 339 rows of train, 254 of test
    other = replace(OUTPUT, rows={"train": 7800, "validation": 1000, "test": 1200})
    other = replace(other, vocabulary=dict.fromkeys(CATEGORICAL, 160))
    assert find_disagreements({"headrace": OUTPUT, "polars": other}) == []
    other = replace(other, rows={"train": 7660, "validation": 1170, "test": 1170})
    assert find_disagreements({"headrace": OUTPUT, "polars": other}) == [
        "headrace and polars: train has 8,000 and 7,660 rows"
    ]
