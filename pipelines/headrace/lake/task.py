"""Say what a model predicts that was trained on a dataset version, by what the version recorded."""

import json
from typing import Any

from headrace.lake.build import Build
from headrace.lake.version import DatasetVersion
from headrace.recipe.task import BOUNDARIES, CLASSES, KEY_DEFINITION, Task, describe_task

DEDUP_KEY = "clean.dedup.key"
"""The key of `Task.rows` by which rows are identified; None where all of their values do."""


def describe_dataset_task(dataset: DatasetVersion) -> Task | None:
    """Return the task of a dataset version; None where its record does not say.

    Every format has its recipe recorded, so this holds for versions of any older release.
    """
    build = dataset.build
    try:
        task = describe_task(build.recipe)
        transform = json.loads(dataset.transform_json)
        label = transform["label"]
        rows = _describe_rows(dataset, transform["raw"], task)
        return Task(
            label={**task.label, "label.kind": label["kind"], CLASSES: list(label["classes"])},
            weights=task.weights,
            split={
                **task.split,
                **({KEY_DEFINITION: build.key_definition} if "split.key" in task.split else {}),
                **_list_resolved_boundaries(build),
            },
            rows=rows,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _list_resolved_boundaries(build: Build) -> dict[str, int]:
    """Return the boundaries of a split by time that followed from the rows, as they were fitted."""
    found = build.time_boundaries
    if found is None:
        return {}
    return dict(zip(BOUNDARIES, (found.validation_from, found.test_from), strict=True))


def _describe_rows(
    dataset: DatasetVersion, raw: list[dict[str, Any]], task: Task
) -> dict[str, Any]:
    """Return by what rows have their identity, see `prepare/assign.py`.

    That is a hash of the dedup key; of a row without one, of all values that are read of it.
    """
    build, recipe = dataset.build, dataset.build.recipe
    dedup = recipe.get("clean", {}).get("dedup") or {}
    key = dedup.get("key")
    split, label = recipe["split"], recipe["label"]
    return {
        DEDUP_KEY: key,
        "types of the key": {name: build.key_types.get(name) for name in key or []},
        "values of rows without a key": {
            "columns": [[column["name"], column["kind"]] for column in raw],
            "latest_by": dedup.get("latest_by"),
            "split": [split.get("key"), (split.get("time") or {}).get("column")],
            "label": task.label["label.expression"],
            "weights": task.weights["label.sample_weight"],
            "baseline": label.get("baseline"),
            "definition": build.key_definition,
        },
    }
