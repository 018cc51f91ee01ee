"""What two keys of a recipe together make impossible.

Each check takes only sections that validated on their own, so that one wrong key does not hide the
rest; a check whose sections are not all there is left out until they are. Keys about rows and
columns are in `column_checks.py`.
"""

import math
from typing import Any

from pipelines.errors import Problem
from pipelines.recipe import sections as s
from pipelines.recipe.column_checks import (
    clips,
    derivations,
    imputations,
    labels,
    leaks,
    names,
    rules,
)
from pipelines.recipe.needs import metric_problems, model_problems
from pipelines.recipe.problems import nearest
from pipelines.recipe.times import micros_of

Valid = dict[str, Any]
"""Top-level key -> validated value; keys that failed validation are absent."""


def impossible_combinations(valid: Valid) -> list[Problem]:
    """Every combination of keys that cannot work, each named by the key to change."""
    problems: list[Problem] = []
    for check, needs in _CHECKS:
        if all(need in valid for need in needs):
            problems += check(*(valid[need] for need in needs))
    return problems


def _tables(source: s.Source) -> list[Problem]:
    problems = []
    for name, table in source.tables.items():
        where = f"source.tables.{name}"
        if (table.path is None) == (table.table is None):
            found = "neither path nor table" if table.path is None else "both path and table"
            problems.append(Problem(where, found, "give one of them"))
        if table.table is not None and "format" in table.model_fields_set:
            problems.append(Problem(f"{where}.format", "a table of the catalog has its own"))
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


def _split(split: s.Split) -> list[Problem]:
    problems = []
    if (split.key is None) == (split.time is None):
        found = "neither key nor time" if split.key is None else "both key and time"
        problems.append(Problem("split", found, "give one of them"))
    if split.time:
        problems += _times(split)
        return problems
    fractions = split.fractions
    total = fractions.train + fractions.validation + fractions.test
    if not math.isclose(total, 1.0, abs_tol=1e-9):
        problems.append(Problem("split.fractions", f"they add up to {total:g}", "must be 1"))
    if fractions.train == 0:
        problems.append(Problem("split.fractions.train", "got 0", "nothing would be trained on"))
    return problems


def _times(split: s.Split) -> list[Problem]:
    assert split.time is not None
    problems = []
    found = {}
    for key in ("validation_from", "test_from"):
        text = getattr(split.time, key)
        try:
            found[key] = micros_of(text)
        except ValueError:
            problems.append(
                Problem(f"split.time.{key}", f"got {text!r}", "an ISO 8601 date or time")
            )
    if len(found) == 2 and found["validation_from"] > found["test_from"]:
        problems.append(Problem("split.time.test_from", "lies before validation_from"))
    if "fractions" in split.model_fields_set:
        problems.append(Problem("split.fractions", "a split by time has no fractions"))
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


def _early_stopping(train: s.Train, split: s.Split, label: s.Label) -> list[Problem]:
    if not train.early_stopping:
        return []
    problems = []
    if split.key and split.fractions.validation == 0:
        problems.append(
            Problem(
                "train.early_stopping",
                "needs a validation split, and split.fractions.validation is 0",
            )
        )
    return problems + metric_problems(train.early_stopping, label.kind)


def _model(model: s.Model, features: dict[str, s.Feature]) -> list[Problem]:
    return model_problems(
        model,
        tokens=[n for n, f in features.items() if isinstance(f, s.TextIds | s.MultiValued)],
        series={n: f.length for n, f in features.items() if isinstance(f, s.Series)},
        images=[n for n, f in features.items() if isinstance(f, s.Image)],
    )


def _files(dataset: s.Dataset) -> list[Problem]:
    if dataset.rows_per_row_group > dataset.rows_per_file:
        return [
            Problem(
                "dataset.rows_per_row_group",
                f"{dataset.rows_per_row_group} is more than a file holds ({dataset.rows_per_file})",
            )
        ]
    return []


_CHECKS: list[tuple[Any, tuple[str, ...]]] = [
    (_tables, ("source",)),
    (_joins, ("source",)),
    (_split, ("split",)),
    (rules, ("clean",)),
    (labels, ("label",)),
    (leaks, ("label", "unavailable", "derive", "features", "source")),
    (derivations, ("derive", "features")),
    (clips, ("features",)),
    (imputations, ("features",)),
    (names, ("features",)),
    (_batches, ("train", "stream")),
    (_optimizer, ("train",)),
    (_early_stopping, ("train", "split", "label")),
    (_model, ("model", "features")),
    (_files, ("dataset",)),
]
