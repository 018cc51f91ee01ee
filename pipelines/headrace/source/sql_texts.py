"""Find what is probably wrong with a recipe's SQL before Spark starts, which alone decides.

sqlglot parses as nearly as it can what Spark does, so a text that it refuses is suspected and no
more. Names of columns are certain where a text has nothing but columns, literals, operators and
CASE: what else could Spark take them for?
"""

import difflib
import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from headrace.errors import Problem
from headrace.recipe import Recipe
from headrace.recipe.expression_checks import list_expressions
from headrace.recipe.sql_text import find_column_names, list_calls
from headrace.schema import show_names

SPARK_DECIDES = "Spark's own parser decides"
_CLOCKS = frozenset(
    {"curdate", "current_date", "current_time", "current_timestamp", "localtimestamp", "now"}
)
# Words that Spark takes for functions, without parentheses, where there is no such column; and the
# column that every file has.
_BARE_FUNCTIONS = frozenset(
    {"_metadata", "current_catalog", "current_database", "current_date", "current_schema",
     "current_time", "current_timestamp", "current_timezone", "current_user", "localtimestamp",
     "now", "session_user", "user"}
)  # fmt: skip


@dataclass(frozen=True)
class SqlText:
    """A text of SQL in a recipe.

    Attributes:
        key: where it is.
        text: the expression.
        table: whose columns it reads, without joined ones; "" for the joined rows.
    """

    key: str
    text: str
    table: str = ""


@dataclass(frozen=True)
class SqlFindings:
    """What was found in a text.

    Attributes:
        mistakes: that Spark would refuse for certain.
        suspicions: that it may.
    """

    mistakes: tuple[Problem, ...] = ()
    suspicions: tuple[Problem, ...] = ()


def list_sql_texts(recipe: Recipe) -> Iterator[SqlText]:
    """List every text of SQL that the recipe has."""
    texts = list_expressions(recipe.source, recipe.label, recipe.clean)
    return (SqlText(*text) for text in texts)


def check_sql(sql: SqlText, columns: Collection[str] | None) -> SqlFindings:
    """Parse a text, and look for its columns among those that there are.

    Args:
        sql: the text.
        columns: all that it may read; None where they are not known.
    """
    import sqlglot
    from sqlglot.errors import ParseError, SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements on its own
    try:
        trees = sqlglot.parse(sql.text, read="spark")
    except ParseError as error:
        return _suspect(sql, _describe_error(error))
    except (SqlglotError, RecursionError) as error:
        return _suspect(sql, (str(error) or "nested too deeply").splitlines()[0])
    if len(trees) != 1 or trees[0] is None:
        return _suspect(sql, "is more than one expression" if len(trees) > 1 else "is empty")
    return _check_names(sql, trees[0], columns)


def _check_names(sql: SqlText, tree: Any, columns: Collection[str] | None) -> SqlFindings:
    from sqlglot import expressions as e

    if isinstance(tree, e.Alias):  # also `a > 15 minutes`
        return _suspect(sql, f"the expression ends before {tree.alias!r}, which names it")
    if isinstance(tree, e.Query) or not isinstance(tree, e.Condition):
        return _suspect(sql, "is a statement, not an expression")
    for total in tree.find_all(e.AggFunc):
        if total.find_ancestor(e.Window) is None:
            return _suspect(sql, f"{total.sql(dialect='spark')} is of many rows, not of one")
    clock = _find_clock(sql, columns or ())
    if columns is None:
        return SqlFindings(suspicions=clock)
    missing = [
        name
        for name in dict.fromkeys(_list_names(tree))
        if name not in columns and name.lower() not in _BARE_FUNCTIONS
    ]
    if not missing:
        return SqlFindings(suspicions=clock)
    problems = tuple(_build_problem(sql.key, name, columns) for name in missing)
    if _is_plain(tree):
        return SqlFindings(problems, clock)
    return SqlFindings(suspicions=(*problems, *clock))


def _find_clock(sql: SqlText, columns: Collection[str]) -> tuple[Problem, ...]:
    """Find what reads the clock in a label, whose rows outlive the build that read them."""
    words = list_calls(sql.text) | {name.lower() for name in find_column_names(sql.text)}
    clocks = sorted((words & _CLOCKS) - {*columns})
    if not clocks or not sql.key.startswith("label."):
        return ()
    text = f"reads the clock ({clocks[0]}): a row keeps the value of the build that read it"
    fix = "a full build would give it another; compute it from columns"
    return (Problem(sql.key, text, fix),)


def _list_names(tree: Any) -> Iterator[str]:
    """List the columns of an expression, of `a.b` the first part, which may have a field b."""
    from sqlglot import expressions as e

    variables = {v.name for function in tree.find_all(e.Lambda) for v in function.expressions}
    for column in tree.find_all(e.Column):
        name = str(column.parts[0].name)
        if not isinstance(column.this, e.Star) and name not in variables:
            yield name


def _is_plain(tree: Any) -> bool:
    """Return whether every name in an expression can be nothing but a column."""
    from sqlglot import expressions as e

    plain = (
        e.Column, e.Identifier, e.Literal, e.Boolean, e.Null, e.Paren, e.Not, e.And, e.Or, e.Is,
        e.EQ, e.NEQ, e.GT, e.GTE, e.LT, e.LTE, e.NullSafeEQ, e.In, e.Between, e.Like, e.RegexpLike,
        e.Add, e.Sub, e.Mul, e.Div, e.Mod, e.Neg, e.Case, e.If, e.Coalesce, e.Abs, e.Cast,
        e.DataType,
    )  # fmt: skip
    return all(
        isinstance(node, plain) and not (isinstance(node, e.Column) and len(node.parts) > 1)
        for node in tree.walk()
    )


def _build_problem(key: str, name: str, columns: Collection[str]) -> Problem:
    cases = [column for column in sorted(columns) if column.lower() == name.lower()]
    near = cases or difflib.get_close_matches(name, sorted(columns), n=1, cutoff=0.6)
    fix = f"did you mean {near[0]}?" if near else f"the columns are: {show_names(columns)}"
    return Problem(key, f"reads {name!r}, and there is no such column", fix)


def _describe_error(error: Any) -> str:
    details = error.errors[0] if error.errors else {}
    text = str(details.get("description") or str(error).splitlines()[0]).rstrip(".")
    if text.startswith("Required keyword"):  # of a class of sqlglot
        text = "something is missing"
    near = str(details.get("highlight") or "").strip()
    return f"{text[:1].lower()}{text[1:]}" + (f" near {near!r}" if near else "")


def _suspect(sql: SqlText, what: str) -> SqlFindings:
    shown = sql.text if len(sql.text) <= 60 else f"{sql.text[:57]}..."
    text = f"{shown!r} may be no SQL: {what}"
    return SqlFindings(suspicions=(Problem(sql.key, text, SPARK_DECIDES),))
