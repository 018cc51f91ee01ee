"""What is wrong with a row, in one text."""

from typing import Any

import pyspark.sql.functions as F
import pytest

from headrace.source.problems import join_problems, split_problems, split_rules_and_reasons


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0\x1fage is missing", [(0, "age is missing")]),
        ("0\x1fa\x1e12\x1fb", [(0, "a"), (12, "b")]),
        ("3\x1f", [(3, "")]),
    ],
)
def test_problems_are_split(text: str, expected: list[tuple[int, str]]) -> None:
    assert split_problems(text) == expected


@pytest.mark.spark
def test_a_value_with_separators_in_it_changes_no_other_problem(spark: Any) -> None:
    """The reason quotes the value that broke the rule, and the value is the lake's."""
    values = ["plain", "a\x1e1\x1fb", "\x1e", "\x1f\x1f", "\x1e9\x1f\x1e0\x1f", None]
    rows = spark.createDataFrame([(value,) for value in values], "v string").coalesce(1)
    violated = F.col("v").isNull() | (F.col("v") != "plain")
    reasons = [(violated, F.col("v")), (F.lit(False), F.lit("no")), (violated, F.lit("last"))]
    problems = [row[0] for row in rows.select(join_problems(reasons)).collect()]
    rules, texts = split_rules_and_reasons(problems, ["first", "second", "third"])
    shown = [str(v or "?").replace("\x1e", "\u241e").replace("\x1f", "\u241f") for v in values]
    assert rules.to_pylist() == [[], *[["first", "third"]] * 5]
    assert texts.to_pylist() == [[], *([text, "last"] for text in shown[1:])]


def test_rules_and_reasons_of_rows() -> None:
    rules, reasons = split_rules_and_reasons(["0\x1fa\x1e2\x1fb", None], ["x", "y", "z"])
    assert rules.to_pylist() == [["x", "z"], []]
    assert reasons.to_pylist() == [["a", "b"], []]
