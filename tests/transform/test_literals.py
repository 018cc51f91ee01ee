"""Literals of rules, read by the types of their columns."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.recipe import build_recipe, load_recipe
from headrace.recipe.parse import dump_yaml
from headrace.schema import ColumnType
from headrace.transform.literals import find_literal_problems, read_limit, read_literal
from tests.tiny import tiny_tree


@pytest.mark.parametrize(
    ("literal", "column_type", "value"),
    [
        ("00501", "string", "00501"),
        (501, "string", "501"),
        (1.5, "string", "1.5"),
        ("1.50", "string", "1.50"),
        (True, "string", "true"),
        ("True", "string", "True"),
        ("00501", "integer", 501),
        (5, "integer", 5),
        (2.0, "integer", 2),
        ("1e3", "integer", 1000),
        (str(2**63 - 1), "integer", 2**63 - 1),
        (-(2**63), "integer", -(2**63)),
        (2**53 + 1, "integer", 2**53 + 1),
        ("1.50", "real", 1.5),
        (1, "real", 1.0),
        ("007", "real", 7.0),
        (True, "boolean", True),
        ("FALSE", "boolean", False),
        (0, "boolean", False),
        ("2013-10-01", "timestamp", "2013-10-01"),
        (" 2013-10-01 12:30 ", "timestamp", "2013-10-01 12:30"),
        ("2013-10-01T12:30:00Z", "timestamp", "2013-10-01T12:30:00Z"),
        ("2013", "timestamp", "2013"),
        ("2013-1", "timestamp", "2013-1"),
    ],
)
def test_a_literal_becomes_a_value_of_the_columns_type(
    literal: Any, column_type: str, value: object
) -> None:
    found = read_literal(literal, ColumnType(column_type))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("literal", "column_type", "words"),
    [
        ("n/a", "integer", "'n/a' is no number"),
        (1.5, "integer", "1.5 is no whole number; no value equals it"),
        (2**63, "integer", "has more than 64 bits"),
        ("1_0", "integer", "'1_0' is no number"),
        (True, "integer", "true is no whole number"),
        ("NO", "real", "'NO' is no number"),
        ("nan", "real", "'nan' is no finite number"),
        (10**400, "real", "is no number"),
        (False, "real", "false is no number"),
        ("no", "boolean", "'no' is neither true nor false"),
        (2, "boolean", "2 is neither true nor false"),
        (2013, "timestamp", "2013 is no time; write it as a text"),
        ("yesterday", "timestamp", "'yesterday' is no time of ISO 8601"),
        ("2013-13-01", "timestamp", "is no time of ISO 8601"),
        ("a", "binary", "no rule compares such values with a literal"),
        (1, "list[integer]", "no rule compares such values with a literal"),
    ],
)
def test_a_literal_that_no_value_can_equal_is_refused(
    literal: Any, column_type: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words.replace("[", r"\[")):
        read_literal(literal, ColumnType(column_type))


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_is_the_same_from_a_number_and_from_its_text(number: int) -> None:
    assert read_literal(number, ColumnType.INTEGER) == number
    assert read_literal(str(number), ColumnType.INTEGER) == number
    assert read_literal(number, ColumnType.STRING) == str(number)


@pytest.mark.parametrize(
    ("limit", "column_type", "value"),
    [
        (0.5, "integer", 0.5),
        (2**70, "integer", 2**70),
        (5, "real", 5),
        ("2.5", "real", 2.5),
        ("b", "string", "b"),
        ("2013-10", "timestamp", "2013-10"),
    ],
)
def test_limits(limit: Any, column_type: str, value: object) -> None:
    found = read_limit(limit, ColumnType(column_type))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("limit", "column_type", "words"),
    [
        (5, "string", "5 is a number; declare the column's type in source.tables, or quote"),
        ("x", "integer", "'x' is no number"),
        (True, "integer", "true is no number"),
        (5, "timestamp", "5 is no time"),
        (0, "boolean", "no rule compares"),
    ],
)
def test_limits_that_cannot_be_compared(limit: Any, column_type: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_limit(limit, ColumnType(column_type))


def test_every_literal_is_named_with_rule_column_and_line(tmp_path: Path) -> None:
    tree = tiny_tree()
    tree["clean"]["rules"] = []
    text = dump_yaml(tree).replace(
        "  rules: []\n",
        "  rules:\n"
        "  - {kind: in, column: grade, values: [1, n/a, 2.5]}\n"
        "  - {kind: range, column: paid_at, min: 2013}\n"
        "  - {kind: in, column: unknown, values: [x]}\n",
    )
    (tmp_path / "r.yaml").write_text(text)
    line = text.split("\n").index("  - {kind: in, column: grade, values: [1, n/a, 2.5]}") + 1
    recipe = load_recipe(str(tmp_path / "r.yaml"), workdir="w", environment={})
    types = {"grade": ColumnType.INTEGER, "paid_at": ColumnType.TIMESTAMP}
    assert find_literal_problems(recipe, types) == [
        f"clean.rules.0.values.1 (line {line}): column 'grade' is integer, and 'n/a' is no number",
        f"clean.rules.0.values.2 (line {line}): column 'grade' is integer, and 2.5 is no whole "
        "number; no value equals it",
        f"clean.rules.1.min (line {line + 1}): column 'paid_at' is timestamp, and 2013 is no time; "
        "write it as a text such as '2013-10-01'",
    ]
    changed = load_recipe(
        str(tmp_path / "r.yaml"),
        workdir="w",
        environment={},
        overrides=["clean.rules.0.values=[1, no]"],
    )
    assert find_literal_problems(changed, types)[0].startswith("clean.rules.0.values.1: column")


def test_lines_are_no_part_of_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(dump_yaml(tiny_tree()))
    read = load_recipe(str(tmp_path / "r.yaml"), workdir="w", environment={})
    built = build_recipe(tiny_tree(), source="test", workdir="w", environment={})
    assert read == built
    assert read.dump_resolved() == built.dump_resolved()
