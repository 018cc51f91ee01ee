"""What two keys of a recipe together make impossible.

Each check takes only sections that validated on their own, so that one wrong key does not hide the
rest; a check whose sections are not all there is left out until they are. Keys about rows and
columns are in `column_checks.py`, those about training in `train_checks.py`.
"""

import math
from typing import Any

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.column_checks import (
    clips,
    derivations,
    imputations,
    labels,
    leaks,
    names,
    rules,
)
from headrace.recipe.evaluate_checks import evaluations, slices
from headrace.recipe.model_requirements import model_problems
from headrace.recipe.problems import nearest
from headrace.recipe.times import micros_of
from headrace.recipe.train_checks import (
    augmentations,
    batches,
    elastic,
    followed_metrics,
    launchers,
    optimizers,
    schedules,
    tuning,
)

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


def _model(model: s.Model, features: dict[str, s.Feature]) -> list[Problem]:
    return model_problems(
        model,
        tokens=[n for n, f in features.items() if isinstance(f, s.TextIds | s.MultiValued)],
        series={n: f.length for n, f in features.items() if isinstance(f, s.Series)},
        images=[n for n, f in features.items() if isinstance(f, s.Image)],
        plain=any(
            not isinstance(f, s.TextIds | s.MultiValued | s.Series | s.Image)
            for f in features.values()
        ),
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


def _kept(dataset: s.Dataset, features: dict[str, s.Feature]) -> list[Problem]:
    taken = [name for name in features if name in {f"kept_{column}" for column in dataset.keep}]
    return [
        Problem(f"features.{name}", "dataset.keep makes a column of this name", "rename it")
        for name in taken
    ]


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
    (elastic, ("train", "stream")),
    (launchers, ("train",)),
    (batches, ("train", "stream")),
    (optimizers, ("train",)),
    (followed_metrics, ("train", "split", "label")),
    (augmentations, ("train", "features", "label")),
    (schedules, ("train",)),
    (tuning, ("tune", "label")),
    (_model, ("model", "features")),
    (_files, ("dataset",)),
    (_kept, ("dataset", "features")),
    (evaluations, ("evaluate", "label")),
    (slices, ("evaluate", "features", "dataset")),
]
