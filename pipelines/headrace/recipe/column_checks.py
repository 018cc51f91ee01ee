"""What keys about rows and columns together make impossible: rules, labels, leaks, features."""

import itertools
import re

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.times import micros_of


def rules(clean: s.Clean) -> list[Problem]:
    """Rules that cannot be what was meant."""
    problems, seen = [], set()
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
                problems.append(Problem(where, "min and max of different types"))
        if rule.on_violation == "null" and not hasattr(rule, "column"):
            problems.append(
                Problem(f"{where}.on_violation", f"null of a {rule.kind} rule", "use quarantine")
            )
        if rule.on_violation == "fail" and rule.max_fraction is not None:
            problems.append(
                Problem(
                    f"{where}.max_fraction",
                    "fail allows no row at all",
                    "use quarantine or drop with max_fraction",
                )
            )
        if rule.name and rule.name in seen:
            problems.append(Problem(f"{where}.name", f"{rule.name!r} is taken by another rule"))
        seen.add(rule.name)
    return problems


def labels(label: s.Label) -> list[Problem]:
    """Settings of other kinds of label."""
    problems = []
    for key in ("standardize", "baseline"):
        if getattr(label, key) and label.kind != "regression":
            problems.append(
                Problem(f"label.{key}", f"of a label of kind {label.kind}", "use kind: regression")
            )
    if label.class_weight is not None and label.kind == "regression":
        problems.append(Problem("label.class_weight", "a regression has no classes"))
    if label.class_weight is not None and label.kind == "multi_label":
        text = "a row of a multi_label has no class whose weight it could have"
        problems.append(Problem("label.class_weight", text, "use label.sample_weight"))
    return problems


def leaks(
    label: s.Label,
    unavailable: list[str],
    derive: dict[str, s.Derivation],
    features: dict[str, s.Feature],
    source: s.Source,
) -> list[Problem]:
    """Features that read what the label is made of, or what is not known at prediction."""
    reason = dict.fromkeys(unavailable, "which `unavailable` says is not known at prediction")
    for column in names_in(label.expression):
        reason.setdefault(column, "which the label is computed from")
    if source.windows:
        for column in source.windows.targets:
            reason.setdefault(column, "which lies in the future")
    problems = []
    reads = {f"derive.{name}.columns": list(item.columns) for name, item in derive.items()}
    reads |= {
        f"features.{name}": [c for c in s.columns_of(name, item) if c not in derive]
        for name, item in features.items()
    }
    for where, columns in reads.items():
        for column in columns:
            if column in reason:
                problems.append(
                    Problem(where, f"reads {column!r}, {reason[column]}", "remove it: it leaks")
                )
    return problems


def names_in(expression: str) -> list[str]:
    """Words of a Spark SQL expression that may be columns; quoted texts are none."""
    without_texts = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", " ", expression)
    return [quoted or word for quoted, word in re.findall(r"`([^`]+)`|(\w+)", without_texts)]


_REAL_DERIVATIONS = {"difference", "seconds_since"}
_CATEGORICAL = {"vocabulary", "hash", "cross"}
_OF_LISTS = {"multi_valued", "series", "text", "image"}


def derivations(derive: dict[str, s.Derivation], features: dict[str, s.Feature]) -> list[Problem]:
    """Derived columns in places that cannot take them."""
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
            problems += _origin(name, item)
    for name, feature in features.items():
        for column in s.columns_of(name, feature):
            source = derive.get(column)
            if source is None:
                continue
            number = source.kind in _REAL_DERIVATIONS
            if feature.kind in _OF_LISTS or (number and feature.kind in _CATEGORICAL):
                what = "real number" if number else "whole number"
                problems.append(
                    Problem(
                        f"features.{name}.kind",
                        f"{feature.kind} of the {what} {column!r}",
                        "use standardize" if number else "use vocabulary or standardize",
                    )
                )
    return problems


def _origin(name: str, item: s.SecondsSince) -> list[Problem]:
    try:
        micros_of(item.origin)
    except ValueError:
        where = f"derive.{name}.origin"
        return [Problem(where, f"got {item.origin!r}", "an ISO 8601 date or time")]
    return []


def clips(features: dict[str, s.Feature]) -> list[Problem]:
    """Clips and boundaries whose numbers do not fit together."""
    problems = []
    for name, feature in features.items():
        clip = getattr(feature, "clip", None)
        if clip is not None:
            where = f"features.{name}.clip"
            given = [k for k in ("values", "quantiles", "iqr") if getattr(clip, k) is not None]
            if len(given) != 1:
                problems.append(
                    Problem(where, f"got {' and '.join(given) or 'nothing'}", "give one of values, "
                            "quantiles, iqr")
                )  # fmt: skip
            for key in ("values", "quantiles"):
                pair = getattr(clip, key)
                if pair and None not in pair and pair[0] >= pair[1]:
                    problems.append(Problem(f"{where}.{key}", f"{pair[0]} is not below {pair[1]}"))
        if isinstance(feature, s.FixedBuckets):
            limits = feature.boundaries
            if any(low >= high for low, high in itertools.pairwise(limits)):
                problems.append(Problem(f"features.{name}.boundaries", "they do not rise"))
    return problems


def imputations(features: dict[str, s.Feature]) -> list[Problem]:
    """Constants of the wrong type."""
    problems = []
    for name, feature in features.items():
        impute = getattr(feature, "impute", None)
        if not isinstance(impute, s.Constant):
            if isinstance(feature, s.Series) and impute == "most_frequent":
                problems.append(Problem(f"features.{name}.impute", "most_frequent of a series",
                                        "use median"))  # fmt: skip
            continue
        text = isinstance(impute.constant, str)
        if text != isinstance(feature, s.Vocabulary):
            wanted = "a text" if isinstance(feature, s.Vocabulary) else "a number"
            problems.append(
                Problem(f"features.{name}.impute.constant", f"got {impute.constant!r}", wanted)
            )
    return problems


_TAKEN = {"label", "row_id", "split", "weight", "sample_weight", "baseline"}
_TAKEN |= {"numeric", "categorical"}


def names(features: dict[str, s.Feature]) -> list[Problem]:
    """Features whose columns would have a name twice."""
    problems = [
        Problem(f"features.{name}", "the name is taken by a column of every dataset", "rename it")
        for name in features
        if name in _TAKEN
    ]
    made: dict[str, str] = {}
    for name, feature in features.items():
        if getattr(feature, "indicator", False):
            made[f"{name}_missing"] = name
        if isinstance(feature, s.Cyclic):
            made |= {f"{name}_sin": name, f"{name}_cos": name}
    problems += [
        Problem(f"features.{name}", f"the feature {made[name]} makes a column of that name")
        for name in features
        if name in made
    ]
    return problems
