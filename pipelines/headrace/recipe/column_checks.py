"""Check keys about rows and columns against each other: rules, labels, leaks, features."""

from headrace.columns.dataset_columns import RESERVED_NAMES
from headrace.errors import Problem
from headrace.labels.kinds import find_label_kind
from headrace.recipe import sections as s
from headrace.recipe.sql_text import find_column_names
from headrace.recipe.times import parse_time_to_micros
from headrace.schema import ColumnType


def check_rules(clean: s.Clean) -> list[Problem]:
    """Return problems of rules that cannot be what was meant."""
    problems, names = [], set()
    for index, rule in enumerate(clean.rules):
        where = f"clean.rules.{index}"
        if isinstance(rule, s.Range):
            if rule.min is None and rule.max is None:
                problems.append(Problem(where, "neither min nor max", "give one of them"))
            numbers = isinstance(rule.min, int | float) and isinstance(rule.max, int | float)
            if numbers and rule.min > rule.max:  # type: ignore[operator]
                problems.append(Problem(f"{where}.min", f"{rule.min} is above max {rule.max}"))
            if isinstance(rule.min, str) != isinstance(rule.max, str) and None not in (
                rule.min,
                rule.max,
            ):
                text = f"min is {rule.min!r}, max {rule.max!r}"
                problems.append(Problem(where, text, "expected two numbers or two texts"))
        if rule.on_violation == "null" and not hasattr(rule, "column"):
            problems.append(
                Problem(
                    f"{where}.on_violation",
                    f"got null, which empties one column; a {rule.kind} rule is not about one "
                    "column",
                    "use quarantine, drop or fail",
                )
            )
        if rule.on_violation == "fail" and rule.max_fraction is not None:
            problems.append(
                Problem(
                    f"{where}.max_fraction",
                    "fail allows no row at all",
                    "use quarantine or drop with max_fraction",
                )
            )
        if rule.name and rule.name in names:
            problems.append(Problem(f"{where}.name", f"{rule.name!r} is taken by another rule"))
        names.add(rule.name)
    return problems


def check_label(label: s.Label) -> list[Problem]:
    """Return problems of settings that belong to other kinds of label."""
    problems = []
    kind = find_label_kind(label.kind)
    for key, is_taken in (("standardize", kind.has_unit), ("baseline", kind.takes_baseline)):
        if getattr(label, key) and not is_taken:
            or_count = " or count" if key == "baseline" else ""
            problems.append(
                Problem(
                    f"label.{key}",
                    f"is only for labels that are numbers, label.kind is {label.kind}",
                    f"remove it, or use kind: regression{or_count}",
                )
            )
    if label.class_weight is not None and kind.class_weight_problem:
        problems.append(Problem("label.class_weight", *kind.class_weight_problem))
    return problems


def check_leaks(
    label: s.Label,
    unavailable: list[str],
    derive: dict[str, s.Derivation],
    features: dict[str, s.Feature],
    source: s.Source,
) -> list[Problem]:
    """Return problems of features that read what the label is computed from, or what is unknown at
    prediction."""
    reason = dict.fromkeys(unavailable, "which `unavailable` says is not known at prediction")
    for column in find_column_names(label.expression):
        reason.setdefault(column, "which the label is computed from")
    if source.windows:
        for column in source.windows.targets:
            reason.setdefault(column, "which lies in the future")
    problems = []
    reads = {f"derive.{name}.columns": list(item.columns) for name, item in derive.items()}
    reads |= {
        f"features.{name}": [c for c in item.list_source_columns(name) if c not in derive]
        for name, item in features.items()
    }
    for where, columns in reads.items():
        for column in columns:
            if column in reason:
                problems.append(
                    Problem(where, f"reads {column!r}, {reason[column]}", "remove it: it leaks")
                )
    return problems


def check_derivations(
    derive: dict[str, s.Derivation], features: dict[str, s.Feature]
) -> list[Problem]:
    """Return problems of derived columns in places that cannot take them."""
    problems = []
    for name, item in derive.items():
        for column in item.columns:
            if column in derive:
                problems.append(
                    Problem(
                        f"derive.{name}.columns",
                        f"{column!r} is itself derived",
                        "derive from raw columns",
                    )
                )
        if isinstance(item, s.SecondsSince):
            problems += _check_origin(name, item)
    for name, feature in features.items():
        for column in feature.list_source_columns(name):
            source = derive.get(column)
            if source is None:
                continue
            if source.result_type not in feature.accepted_types:
                number = source.result_type is ColumnType.REAL
                number_kind = "real number" if number else "whole number"
                problems.append(
                    Problem(
                        f"features.{name}.kind",
                        f"{feature.kind} does not take {column!r}, a derived {number_kind}",
                        "use standardize" if number else "use vocabulary or standardize",
                    )
                )
    return problems


def _check_origin(name: str, item: s.SecondsSince) -> list[Problem]:
    try:
        parse_time_to_micros(item.origin)
    except ValueError:
        where = f"derive.{name}.origin"
        return [Problem(where, f"got {item.origin!r}", "an ISO 8601 date or time")]
    return []


def check_clips(features: dict[str, s.Feature]) -> list[Problem]:
    """Return problems of clips and boundaries whose numbers do not fit together."""
    return [
        problem
        for name, feature in features.items()
        for problem in feature.find_limit_problems(f"features.{name}")
    ]


def check_imputations(features: dict[str, s.Feature]) -> list[Problem]:
    """Return problems of constants of the wrong type, and of values that a kind cannot impute."""
    return [
        problem
        for name, feature in features.items()
        for problem in feature.find_impute_problems(f"features.{name}")
    ]


def check_names(features: dict[str, s.Feature]) -> list[Problem]:
    """Return problems of features whose columns would have a name twice.

    Delta tables tell no capital letters from small ones, so two such names are one.
    """
    reserved = {name.lower() for name in RESERVED_NAMES}
    problems = [
        Problem(f"features.{name}", "the name is taken by a column of every dataset", "rename it")
        for name in features
        if name.lower() in reserved
    ]
    first: dict[str, str] = {}
    for name, feature in features.items():
        for column in {name, *feature.list_dataset_columns(name)}:
            other = first.setdefault(column.lower(), column)
            if other != column:
                problems.append(
                    Problem(
                        f"features.{name}",
                        f"the dataset's columns {other} and {column} differ in capital letters "
                        "alone, and a Delta table takes them for one",
                        "rename it (its column can be named by `column`)",
                    )
                )
    makers = {
        column: name
        for name, feature in features.items()
        for column in feature.list_dataset_columns(name)
        if column != name
    }
    problems += [
        Problem(f"features.{name}", f"the feature {makers[name]} makes a column of that name")
        for name in features
        if name in makers
    ]
    return problems
