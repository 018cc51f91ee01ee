"""What two keys of a recipe together make impossible.

Each check takes only sections that validated on their own, so that one wrong key does not hide the
rest; a check whose sections are not all there is left out until they are.
"""

import math
import re
from typing import Any

from pipelines.errors import Problem
from pipelines.recipe import sections as s
from pipelines.recipe.problems import nearest

Valid = dict[str, Any]
"""Top-level key -> validated value; keys that failed validation are absent."""


def impossible_combinations(valid: Valid) -> list[Problem]:
    """Every combination of keys that cannot work, each named by the key to change."""
    problems: list[Problem] = []
    for check, needs in _CHECKS:
        if all(need in valid for need in needs):
            problems += check(*(valid[need] for need in needs))
    return problems


def _joins(source: s.Source) -> list[Problem]:
    problems = []
    tables = list(source.tables)
    if source.main not in source.tables:
        problems.append(
            Problem("source.main", f"no table {source.main!r}", nearest(source.main, tables))
        )
    seen: dict[str, str] = {}
    for index, join in enumerate(source.joins):
        where = f"source.joins.{index}"
        if join.table not in source.tables:
            problems.append(
                Problem(f"{where}.table", f"no table {join.table!r}", nearest(join.table, tables))
            )
        elif join.table == source.main:
            problems.append(Problem(f"{where}.table", "a join of the main table with itself"))
        for column in join.columns:
            if column in seen:
                problems.append(
                    Problem(f"{where}.columns.{column}", f"{seen[column]} already adds {column!r}")
                )
            seen[column] = where
    return problems


def _fractions(split: s.Split) -> list[Problem]:
    fractions = split.fractions
    total = fractions.train + fractions.validation + fractions.test
    problems = []
    if not math.isclose(total, 1.0, abs_tol=1e-9):
        problems.append(Problem("split.fractions", f"they add up to {total:g}", "must be 1"))
    if fractions.train == 0:
        problems.append(Problem("split.fractions.train", "got 0", "nothing would be trained on"))
    return problems


def _leaks(
    label: s.Label,
    unavailable: list[str],
    derive: dict[str, s.Derivation],
    features: dict[str, s.Feature],
) -> list[Problem]:
    reason = dict.fromkeys(unavailable, "which `unavailable` says is not known at prediction")
    for column in _names_in(label.expression):
        reason.setdefault(column, "which the label is computed from")
    problems = []
    reads = {f"derive.{name}.columns": item.columns for name, item in derive.items()}
    reads |= {f"features.{name}": [item.column or name] for name, item in features.items()}
    for where, columns in reads.items():
        for column in columns:
            if column in reason:
                problems.append(
                    Problem(where, f"reads {column!r}, {reason[column]}", "remove it: it leaks")
                )
    return problems


def _names_in(expression: str) -> list[str]:
    """Words of a Spark SQL expression that may be columns; quoted texts are none."""
    without_texts = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", " ", expression)
    return [quoted or word for quoted, word in re.findall(r"`([^`]+)`|(\w+)", without_texts)]


_INTEGER_KINDS = {"day_of_week", "hour_of_day", "minute_of_day"}


def _derivations(derive: dict[str, s.Derivation], features: dict[str, s.Feature]) -> list[Problem]:
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
    for name, feature in features.items():
        source = derive.get(feature.column or name)
        if source and feature.kind != "standardize" and source.kind not in _INTEGER_KINDS:
            problems.append(
                Problem(
                    f"features.{name}.kind",
                    f"{feature.kind} of the real number {feature.column or name!r}",
                    "use standardize",
                )
            )
    return problems


def _batches(train: s.Train, stream: s.Stream) -> list[Problem]:
    problems = []
    if stream.canonical_shards % train.ranks:
        problems.append(
            Problem(
                "train.ranks",
                f"{train.ranks} ranks cannot share {stream.canonical_shards} canonical shards "
                "equally",
                "use a divisor, or change stream.canonical_shards",
            )
        )
    if train.global_batch_size % stream.canonical_shards:
        problems.append(
            Problem(
                "train.global_batch_size",
                f"{train.global_batch_size} rows cannot be cut from "
                f"{stream.canonical_shards} canonical shards equally",
                f"use a multiple of {stream.canonical_shards}",
            )
        )
    return problems


def _optimizer(train: s.Train) -> list[Problem]:
    if train.optimizer.kind != "sgd" and train.optimizer.momentum:
        kind = train.optimizer.kind
        return [Problem("train.optimizer.momentum", f"{kind} takes no momentum", "use kind: sgd")]
    return []


def _early_stopping(train: s.Train, split: s.Split) -> list[Problem]:
    if train.early_stopping and split.fractions.validation == 0:
        return [
            Problem(
                "train.early_stopping",
                "needs a validation split, and split.fractions.validation is 0",
            )
        ]
    return []


def _files(dataset: s.Dataset) -> list[Problem]:
    if dataset.rows_per_row_group > dataset.rows_per_file:
        return [
            Problem(
                "dataset.rows_per_row_group",
                f"{dataset.rows_per_row_group} is more than a file holds ({dataset.rows_per_file})",
            )
        ]
    return []


_TAKEN = ("label", "row_id", "split")


def _names(features: dict[str, s.Feature]) -> list[Problem]:
    return [
        Problem(f"features.{name}", "the name is taken by a column of every dataset", "rename it")
        for name in features
        if name in _TAKEN
    ]


_CHECKS: list[tuple[Any, tuple[str, ...]]] = [
    (_joins, ("source",)),
    (_fractions, ("split",)),
    (_leaks, ("label", "unavailable", "derive", "features")),
    (_derivations, ("derive", "features")),
    (_names, ("features",)),
    (_batches, ("train", "stream")),
    (_optimizer, ("train",)),
    (_early_stopping, ("train", "split")),
    (_files, ("dataset",)),
]
