"""What is wrong with a row, in one text."""

import pytest

from headrace.source.problems import (
    PROBLEM_SEPARATOR,
    REASON_SEPARATOR,
    split_problems,
    split_rules_and_reasons,
)


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


def test_a_reason_may_have_separators_in_it() -> None:
    """It quotes the value that broke the rule, and the value is the lake's."""
    between, reason = PROBLEM_SEPARATOR, REASON_SEPARATOR
    problems = f"0{reason}got a{between}b{reason}c{between}2{reason}is null"
    rules, reasons = split_rules_and_reasons([problems, None], ["first", "second", "third"])
    assert rules.to_pylist() == [["first", "third"], []]
    assert reasons.to_pylist() == [[f"got a{between}b{reason}c", "is null"], []]
