"""Read the literals of rules by the types of their columns: 00501 is a text or a number by that.

A literal that no value of the column could equal or be compared with is a mistake of the recipe. It
is found here, where rule, column and line can be named, and not by Spark in some task.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime

from headrace.errors import Problem
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import ColumnType

Literal = str | int | float | bool
_WHOLE = re.compile(r"[-+]?[0-9]+")
_LONG = 2**63
_NOT_COMPARED = "no rule compares such values with a literal; write it as kind: expr"
# What Spark's cast takes as well: a year, or a year and a month.
_YEAR_OR_MONTH = re.compile(r"[0-9]{4}(-[0-9]{1,2})?")


def find_literal_problems(recipe: Recipe, types: Mapping[str, ColumnType]) -> list[str]:
    """Find the literals of rules that are not of their columns' types.

    Args:
        recipe: its rules are read, and the lines that their literals are on.
        types: columns of the rows that the rules check; others are not looked at.

    Returns:
        a sentence for each literal: key and line, column, what is wrong and what to do.
    """
    return [
        f"{problem.where} (line {problem.line}): {problem.message}"
        if problem.line
        else str(problem)
        for problem in list_literal_problems(recipe, types)
    ]


def list_literal_problems(recipe: Recipe, types: Mapping[str, ColumnType]) -> list[Problem]:
    """Return the problems that `find_literal_problems` says in sentences."""
    problems = []
    for key, column, literal in _list_literals(recipe):
        if column not in types:
            continue
        read = read_limit if key.endswith((".min", ".max")) else read_literal
        try:
            read(literal, types[column])
        except ValueError as error:
            text = f"column {column!r} is {types[column].value}, and {error}"
            problems.append(Problem(key, text, line=recipe.get_line(key)))
    return problems


def read_literal(literal: Literal, column_type: ColumnType) -> Literal:
    """Read a literal as a value of a column's type.

    Args:
        literal: as `parse_yaml` returns it: a text where the value would be written otherwise.
        column_type: the column's; times stay texts, which Spark casts to a date or a timestamp.

    Raises:
        ValueError: it is no value of that type; the message says what is wrong and what to do.
    """
    if column_type is ColumnType.STRING:
        return _write_as_text(literal)
    if column_type is ColumnType.BOOLEAN:
        return _read_boolean(literal)
    if column_type is ColumnType.INTEGER:
        return _read_integer(literal)
    if column_type is ColumnType.REAL:
        return _read_real(literal)
    if column_type is ColumnType.TIMESTAMP:
        return _read_time(literal)
    raise ValueError(_NOT_COMPARED)


def read_limit(literal: Literal, column_type: ColumnType) -> str | float:
    """Read the limit of a range; one of numbers need not be a value of the column's type.

    Args:
        literal, column_type: see `read_literal`.

    Raises:
        ValueError: values of that type cannot be compared with it.
    """
    if column_type is ColumnType.STRING:
        if isinstance(literal, str):
            return literal
        raise ValueError(
            f"{literal!r} is a number; declare the column's type in source.tables, or quote the "
            "limit to compare texts"
        )
    if column_type in (ColumnType.INTEGER, ColumnType.REAL):
        is_whole = isinstance(literal, int) and not isinstance(literal, bool)
        return literal if is_whole else _read_real(literal)
    if column_type is ColumnType.TIMESTAMP:
        return _read_time(literal)
    raise ValueError(_NOT_COMPARED)


def _list_literals(recipe: Recipe) -> Iterator[tuple[str, str, Literal]]:
    """List the literals of all rules: key in the recipe, column, literal."""
    for index, rule in enumerate(recipe.clean.rules):
        key = f"clean.rules.{index}"
        if isinstance(rule, s.In):
            for position, value in enumerate(rule.values):
                yield f"{key}.values.{position}", rule.column, value
        if isinstance(rule, s.Range):
            for name, limit in (("min", rule.min), ("max", rule.max)):
                if limit is not None:
                    yield f"{key}.{name}", rule.column, limit


def _write_as_text(literal: Literal) -> str:
    return str(literal).lower() if isinstance(literal, bool) else str(literal)


def _read_boolean(literal: Literal) -> bool:
    words = {"true": True, "false": False, "1": True, "0": False}
    word = _write_as_text(literal).lower()
    if word not in words:
        raise ValueError(f"{literal!r} is neither true nor false")
    return words[word]


def _read_integer(literal: Literal) -> int:
    if isinstance(literal, bool):
        raise ValueError(f"{_write_as_text(literal)} is no whole number")
    if isinstance(literal, str) and _WHOLE.fullmatch(literal.strip()):
        number = int(literal)
    else:
        real = _read_real(literal)
        if not real.is_integer():
            raise ValueError(f"{literal!r} is no whole number; no value equals it")
        number = literal if isinstance(literal, int) else int(real)
    if not -_LONG <= number < _LONG:
        raise ValueError(f"{literal!r} has more than 64 bits")
    return number


def _read_real(literal: Literal) -> float:
    if isinstance(literal, bool):
        raise ValueError(f"{_write_as_text(literal)} is no number")
    try:
        number = float(literal.replace("_", "x") if isinstance(literal, str) else literal)
    except (ValueError, OverflowError):
        raise ValueError(f"{literal!r} is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"{literal!r} is no finite number")
    return number


def _read_time(literal: Literal) -> str:
    if not isinstance(literal, str):
        raise ValueError(f"{literal!r} is no time; write it as a text such as '2013-10-01'")
    text = literal.strip()
    if _YEAR_OR_MONTH.fullmatch(text):
        return text
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            parse(text)
        except ValueError:
            continue
        return text
    raise ValueError(
        f"{literal!r} is no time of ISO 8601, such as '2013-10-01' or '2013-10-01 12:00'"
    )
