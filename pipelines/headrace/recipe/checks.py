"""Check keys of a recipe against each other: combinations that each section alone cannot see.

Each check takes only sections that validated on their own, so that one wrong key does not hide the
rest; a check whose sections are not all there is left out until they are. Keys about rows and
columns are in `column_checks.py`, those about training in `train_checks.py`.
"""

from typing import Any

from headrace.addresses import find_scheme_problem, find_store_problem
from headrace.columns.dataset_columns import name_passthrough_column
from headrace.errors import Problem
from headrace.features.kinds import get_form
from headrace.recipe import sections as s
from headrace.recipe.column_checks import (
    check_clips,
    check_derivations,
    check_imputations,
    check_label,
    check_leaks,
    check_names,
    check_rules,
)
from headrace.recipe.evaluate_checks import check_evaluation, check_references, check_slices
from headrace.recipe.expression_checks import check_expressions
from headrace.recipe.model_requirements import find_model_problems
from headrace.recipe.problems import suggest_nearest
from headrace.recipe.reader_options import check_reader_options
from headrace.recipe.spark_checks import check_ranks_on_spark, check_spark
from headrace.recipe.split_checks import check_split
from headrace.recipe.times import parse_time_to_micros
from headrace.recipe.train_checks import (
    check_augmentation,
    check_automatic_ranks,
    check_batches,
    check_elastic_sizes,
    check_launcher,
    check_loss,
    check_monitored_metrics,
    check_optimizer,
    check_parallel_trials,
    check_schedule,
    check_sharded_tables,
    check_tuning,
    check_two_tower,
)

Valid = dict[str, Any]
"""Top-level key -> validated value; keys that failed validation are absent."""


def find_impossible_combinations(valid: Valid) -> list[Problem]:
    """Return every combination of keys that cannot work, each named by the key to change."""
    problems: list[Problem] = []
    for check, needs in _CHECKS:
        if all(need in valid for need in needs):
            problems += check(*(valid[need] for need in needs))
    return problems


def _check_store(where: str, path: str | None) -> list[Problem]:
    found = find_store_problem(path or "")
    return [Problem(where, *found)] if found else []


def _check_tables(source: s.Source) -> list[Problem]:
    problems = []
    for name, table in source.tables.items():
        where = f"source.tables.{name}"
        if (table.path is None) == (table.table is None):
            choice = "neither path nor table" if table.path is None else "both path and table"
            problems.append(Problem(where, choice, "give one of them"))
        if found := find_scheme_problem(table.path or ""):
            problems.append(Problem(f"{where}.path", *found))
        if table.table is not None and "format" in table.model_fields_set:
            problems.append(
                Problem(
                    f"{where}.format",
                    f"got {table.format}, but a table in Spark's catalog has its own format",
                    "remove this key",
                )
            )
        problems += _check_version(where, table)
    return problems


def _check_version(where: str, table: s.Table) -> list[Problem]:
    """Find keys about an earlier version of a table that cannot have an effect."""
    names = ("version_as_of", "timestamp_as_of", "metadata")
    keys = [key for key in names if getattr(table, key) is not None]
    if not keys:
        return []
    if keys[:2] == [*names[:2]]:
        return [Problem(f"{where}.{keys[1]}", f"{keys[0]} is given too", "give one of them")]
    if table.table is not None or table.format in ("csv", "json", "orc"):
        what = "a table of a catalog" if table.table is not None else f"{table.format} files"
        return [
            Problem(
                f"{where}.{keys[0]}", f"is for Delta and Iceberg tables, got {what}", "remove it"
            )
        ]
    if table.timestamp_as_of is None:
        return []
    try:
        parse_time_to_micros(table.timestamp_as_of)
    except ValueError:
        text = f"got {table.timestamp_as_of!r}, expected a time such as 2026-03-01T06:00:00Z"
        return [Problem(f"{where}.timestamp_as_of", text)]
    return []


def _check_joins(source: s.Source) -> list[Problem]:
    problems = []
    tables = list(source.tables)
    if source.main not in source.tables:
        problems.append(
            Problem(
                "source.main", f"no table {source.main!r}", suggest_nearest(source.main, tables)
            )
        )
    added_by: dict[str, str] = {}
    for index, join in enumerate(source.joins):
        where = f"source.joins.{index}"
        if join.table not in source.tables:
            problems.append(
                Problem(
                    f"{where}.table",
                    f"no table {join.table!r}",
                    suggest_nearest(join.table, tables),
                )
            )
        elif join.table == source.main:
            problems.append(
                Problem(
                    f"{where}.table",
                    f"{join.table!r} is the main table",
                    "name another; the same path may be declared twice",
                )
            )
        for column in join.columns:
            if column in added_by:
                problems.append(
                    Problem(
                        f"{where}.columns.{column}", f"{added_by[column]} already adds {column!r}"
                    )
                )
            added_by[column] = where
    return problems


def _check_model(model: s.Model, features: dict[str, s.Feature]) -> list[Problem]:
    return find_model_problems(
        model,
        tokens=[n for n, f in features.items() if get_form(f) == "tokens"],
        series={n: f.shape[0] for n, f in features.items() if get_form(f) == "series"},
        images=[n for n, f in features.items() if get_form(f) == "image"],
        plain=any(not f.shape for f in features.values()),
        categorical=any(get_form(f) == "ids" for f in features.values()),
        features=list(features),
    )


def _check_file_sizes(dataset: s.Dataset) -> list[Problem]:
    if dataset.rows_per_row_group != "auto" and dataset.rows_per_row_group > dataset.rows_per_file:
        return [
            Problem(
                "dataset.rows_per_row_group",
                f"{dataset.rows_per_row_group} is more than a file holds ({dataset.rows_per_file})",
            )
        ]
    return []


def _check_passthrough_columns(dataset: s.Dataset, features: dict[str, s.Feature]) -> list[Problem]:
    columns = {name_passthrough_column(name).lower() for name in dataset.keep}
    problems = [
        Problem(f"features.{name}", "dataset.keep makes a column of this name", "rename it")
        for name in features
        if any(c.lower() in columns for c in (name, *features[name].list_dataset_columns(name)))
    ]
    first: dict[str, str] = {}
    for name in dataset.keep:
        other = first.setdefault(name.lower(), name)
        if other != name:
            text = f"{other} and {name} differ in capital letters alone"
            problems.append(
                Problem("dataset.keep", text, "a Delta table takes them for one; keep one of them")
            )
    return problems


_CHECKS: list[tuple[Any, tuple[str, ...]]] = [
    (_check_tables, ("source",)),
    (_check_joins, ("source",)),
    (check_split, ("split",)),
    (check_rules, ("clean",)),
    (check_label, ("label",)),
    (check_expressions, ("source", "label", "clean", "increments")),
    (check_leaks, ("label", "unavailable", "derive", "features", "source")),
    (check_derivations, ("derive", "features")),
    (check_clips, ("features",)),
    (check_imputations, ("features",)),
    (check_names, ("features",)),
    (check_elastic_sizes, ("train", "stream")),
    (check_automatic_ranks, ("train",)),
    (check_launcher, ("train",)),
    (check_batches, ("train", "stream")),
    (check_optimizer, ("train",)),
    (check_sharded_tables, ("model", "train")),
    (check_loss, ("train", "label")),
    (check_monitored_metrics, ("train", "split", "label")),
    (check_augmentation, ("train", "features", "label")),
    (check_schedule, ("train",)),
    (check_tuning, ("tune", "label", "train")),
    (check_parallel_trials, ("tune", "train")),
    (_check_model, ("model", "features")),
    (_check_file_sizes, ("dataset",)),
    (lambda dataset: _check_store("dataset.path", dataset.path), ("dataset",)),
    (lambda train: _check_store("train.checkpoint.path", train.checkpoint.path), ("train",)),
    (_check_passthrough_columns, ("dataset", "features")),
    (check_evaluation, ("evaluate", "label", "train")),
    (check_references, ("evaluate", "label", "features")),
    (check_two_tower, ("model", "train", "label", "evaluate")),
    (check_slices, ("evaluate", "features", "dataset", "derive", "source")),
    (check_reader_options, ("source",)),
    (check_spark, ("spark",)),
    (check_ranks_on_spark, ("spark", "train")),
]
