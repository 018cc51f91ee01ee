"""Make rules of a recipe into rules of the transform, which every engine applies alike."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from headrace.recipe import sections as s
from headrace.recipe.times import parse_time_to_micros
from headrace.schema import ColumnType
from headrace.transform.condition import (
    Condition,
    join_conditions,
    make_among,
    make_condition,
    make_literal,
    negate_condition,
)
from headrace.transform.java_pattern import NoTranslationError, make_match
from headrace.transform.literals import read_limit, read_literal
from headrace.transform.rule_names import list_rule_names
from headrace.transform.rules import FittedRule, LeftOutRule
from headrace.transform.sql_condition import ConditionColumn, read_sql_condition

_SCALARS = ("integer", "real", "string", "timestamp")
_DAY = 86_400_000_000
_LONG = 2**63


@dataclass(frozen=True)
class RuleSource:
    """What is known of the columns that rules may read.

    Attributes:
        columns: column of one value per row -> its kind, and type in Spark.
        raw: raw columns of the transform, lists and images included.
        later: columns that nobody has at the moment of prediction.
        windows: list column of a window -> column that its values are taken from.
    """

    columns: Mapping[str, ConditionColumn]
    raw: Collection[str]
    later: Collection[str] = ()
    windows: Mapping[str, str] | None = None


def fit_rules(
    rules: "list[s.Rule]", source: RuleSource
) -> tuple[tuple[FittedRule, ...], tuple[LeftOutRule, ...]]:
    """Make the rules of a recipe into those of a transform.

    Args:
        rules: of the recipe.
        source: the columns that they may read.

    Returns:
        the rules that act wherever the transform does; and those that are about training alone.
    """
    fitted: list[FittedRule] = []
    left_out: list[LeftOutRule] = []
    for name, rule in zip(list_rule_names(rules), rules, strict=True):
        try:
            violated = compile_rule(rule, source.columns)
        except NoTranslationError as error:
            left_out.append(LeftOutRule(name=name, reason=str(error)))
            continue
        later = sorted({*violated.list_columns()} & {*source.later})
        if later:
            reason = f"nobody knows {', '.join(later)} at the moment of prediction"
            left_out.append(LeftOutRule(name=name, reason=reason))
            continue
        section = rule.model_dump(mode="json", exclude_none=True)
        if rule.on_violation != "null":
            fitted.append(
                FittedRule(name=name, action="reject", violated=violated, section=section)
            )
        elif isinstance(rule, s.Range | s.In | s.Regex) and rule.column in source.raw:
            fitted.append(
                FittedRule(
                    name=name, action="null", column=rule.column, violated=violated, section=section
                )
            )
        fitted += _make_element_rules(name, violated, source)
    return tuple(fitted), tuple(left_out)


def _make_element_rules(name: str, violated: Condition, source: RuleSource) -> list[FittedRule]:
    """Make the rules about lists of a window: no window has a value that breaks a rule."""
    return [
        FittedRule(name=name, action="null", column=windowed, violated=violated)
        for windowed, column in (source.windows or {}).items()
        if violated.list_columns() == (column,)
        and windowed in source.raw
        and source.columns[column].kind == "real"
    ]


def compile_rule(rule: "s.Rule", columns: Mapping[str, ConditionColumn]) -> Condition:
    """Return the condition that is true where a row breaks a rule.

    Args:
        rule: of the recipe.
        columns: those of one value per row.

    Raises:
        NoTranslationError: only Spark can tell; the message says why.
    """
    if isinstance(rule, s.Unique):
        raise NoTranslationError("it compares rows with each other")
    if isinstance(rule, s.Expr):
        return negate_condition(read_sql_condition(rule.expression, columns))
    names = rule.list_columns()
    for name in names:
        if name not in columns:
            raise NoTranslationError(f"{name} is no column of one value per row")
    if isinstance(rule, s.NotNull):
        missing = [negate_condition(_make_present(name, columns[name])) for name in names]
        return join_conditions("or", missing)
    column = columns[names[0]]
    node = _make_column(names[0], column)
    present = _make_present(names[0], column)
    if isinstance(rule, s.Range):
        limits = []
        if rule.min is not None:
            limits.append(_compare_with_limit(node, rule.min, column, above=False))
        if rule.max is not None:
            limits.append(_compare_with_limit(node, rule.max, column, above=True))
        if not limits:
            raise NoTranslationError("it has no limit")
        return make_condition("and", present, join_conditions("or", limits))
    if isinstance(rule, s.In):
        values = tuple(_read_value(value, column) for value in rule.values)
        return make_condition("and", present, negate_condition(make_among(node, values)))
    if column.kind != "string":
        raise NoTranslationError(f"a pattern of {column.sql} is about Spark's text of it")
    return negate_condition(make_match(node, rule.pattern))


def _make_column(name: str, column: ConditionColumn) -> Condition:
    if column.kind not in _SCALARS:
        raise NoTranslationError(f"{name} is no column of one value per row")
    return Condition(op="column", type=column.kind, name=name)  # type: ignore[arg-type]


def _make_present(name: str, column: ConditionColumn) -> Condition:
    if column.kind not in (*_SCALARS, "bytes"):
        raise NoTranslationError(f"{name} is a list, of which a null is an empty one")
    kind = "string" if column.kind == "bytes" else column.kind
    return make_condition("present", Condition(op="column", type=kind, name=name))  # type: ignore[arg-type]


def _get_type(column: ConditionColumn) -> ColumnType:
    if column.sql == "boolean":
        return ColumnType.BOOLEAN
    return ColumnType(column.kind)


def _compare_with_limit(
    node: Condition, limit: "str | int | float", column: ConditionColumn, *, above: bool
) -> Condition:
    """Return whether a column is above or below a limit, compared as Spark compares them."""
    try:
        value = read_limit(limit, _get_type(column))
    except ValueError as error:
        raise NoTranslationError(str(error)) from None
    if column.kind == "integer":
        if isinstance(value, float) or not -_LONG <= int(value) < _LONG:
            node = Condition(op="to_real", type="real", args=(node,))
            literal = make_literal(float(value), "real")
        else:
            literal = make_literal(int(value), "integer")
    elif column.kind == "timestamp":
        literal = make_literal(_read_time(str(value), column), "timestamp")
    else:
        literal = make_literal(value, node.type)
    return make_condition("less", *((literal, node) if above else (node, literal)))


def _read_value(value: "str | int | float | bool", column: ConditionColumn) -> "str | int | float":
    try:
        literal = read_literal(value, _get_type(column))
    except ValueError as error:
        raise NoTranslationError(str(error)) from None
    if column.kind == "timestamp":
        return _read_time(str(literal), column)
    return int(literal) if isinstance(literal, bool) else literal


def _read_time(text: str, column: ConditionColumn) -> int:
    """Read a time as Spark casts it to the column's type; of a date the time of day is dropped."""
    parts = text.strip().split("-")
    if len(parts) <= 2 and all(part.isdecimal() for part in parts):
        month = int(parts[1]) if len(parts) == 2 else 1
        text = date(int(parts[0]), month, 1).isoformat()
    if column.sql == "timestamp_ntz" and datetime.fromisoformat(text.strip()).tzinfo is not None:
        raise NoTranslationError(f"{text} has a zone, and the column has none")
    micros = parse_time_to_micros(text.strip())
    return micros // _DAY * _DAY if column.sql == "date" else micros
