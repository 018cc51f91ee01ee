"""Find out by what the champion can be compared with a model: before ranks start, from records.

Both have to predict the same label. Then it is said which rows the champion can predict, and where
it is recorded on which it was trained: rows that one of both has seen say nothing of it. The
comparison itself is left to `champion_comparison.py`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from headrace.errors import DamagedError, DatasetError, UnreachableError
from headrace.lake.storage import resolve_root
from headrace.lake.task import DEDUP_KEY, describe_dataset_task
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.recipe.task import Task, describe_differences
from headrace.redaction import redact_text
from headrace.tracking.model import ModelVersion

_KEY_TYPES = "types of the key"


def describe_champion(
    recipe: Recipe, champion: ModelVersion, model: ModelVersion, dataset: DatasetVersion
) -> dict[str, Any]:
    """Return what the ranks need to compare a model with the champion, or why they cannot.

    Args:
        recipe: evaluate.weighted and dataset.path are read.
        champion, model: the two.
        dataset: on whose test rows they are compared.

    Returns:
        plain values: `uri`; `same`, whether the champion is the model; `threshold`; `dataset`,
        whose rows the champion predicts; `seen`, the dataset that says which rows the champion has
        seen, None where no row of `dataset` can be among them; `counts_new`, whether rows that
        `seen` does not have may be judged by; `needs_known`, whether they may only where some other
        row is in both; `why_not`, empty where a comparison is possible; `remarks`, what has to be
        said of it.

    Raises:
        UnreachableError, DamagedError: the champion's dataset cannot be read at the moment.
    """
    metadata = champion.metadata
    own = {"root": dataset.root, "version": dataset.version}
    description: dict[str, Any] = {
        "uri": champion.uri,
        "same": champion.uri == model.uri,
        "threshold": float(metadata.get("threshold", 0.5)),
        "loss": metadata.get("loss"),
        "dataset": own,
        "seen": None,
        "counts_new": True,
        "needs_known": False,
        "why_not": "",
        "remarks": [],
    }
    root, version = resolve_dataset_root(recipe, champion), metadata["dataset_version"]
    if description["same"] or (root, version) == (dataset.root, dataset.version):
        return description
    champion_dataset, reason = open_dataset_if_there(root, version)
    champion_task = (
        describe_dataset_task(champion_dataset) if champion_dataset else _read_task(metadata)
    )
    task = describe_dataset_task(dataset)
    if why_not := _find_other_label(recipe, champion, model, champion_task, task):
        return {**description, "why_not": why_not}
    same_transform = metadata["transform_digest"] == model.metadata["transform_digest"]
    is_proven = same_transform and _is_same_split(champion_task, task)
    if champion_dataset is None:
        return {**description, **_do_without_dataset(champion, reason, is_proven)}
    if not (champion_task and task):
        description["remarks"] = [
            f"the record of the dataset of {champion.uri} or of {model.uri} does not say what the "
            "label is, so the labels of rows that both have are compared instead"
        ]
    if other_rows := _find_other_rows(champion_task, task):
        # By the split's own definition no test row of one is a train row of the other.
        if is_proven:
            remark = f"{other_rows}, and both splits have one definition"
            return {**description, "remarks": [*description["remarks"], remark]}
        text = f"{other_rows}, so it cannot be told which rows {champion.uri} was trained on"
        return {**description, "why_not": text}
    if not same_transform and not champion_dataset.count_rows("test"):
        return {**description, "why_not": f"the dataset of {champion.uri} has no test rows"}
    seen = {"root": root, "version": version}
    return {
        **description,
        "dataset": own if same_transform else seen,
        "seen": seen,
        "counts_new": bool(champion_task and task and champion_task.rows == task.rows),
        "needs_known": not (is_proven and _is_split_beside_key(task)) and not _has_no_key(task),
    }


def resolve_dataset_root(recipe: Recipe, model: ModelVersion) -> str:
    """Return the root of the dataset that a model was trained on.

    The model records it without credentials; where the recipe has the same root, they are its.
    """
    recorded_root: str = model.metadata["dataset_root"]
    recipe_root = resolve_root(recipe.dataset.path)
    return recipe_root if redact_text(recipe_root) == recorded_root else recorded_root


def open_dataset_if_there(root: str, version: int) -> tuple[DatasetVersion | None, str]:
    """Open a dataset version that may be gone: None then, and why.

    Raises:
        UnreachableError, DamagedError: it cannot be read at the moment.
    """
    try:
        return DatasetVersion.open(root, version), ""
    except (UnreachableError, DamagedError):
        raise  # the store may come back, or somebody may repair it: the gate has not failed
    except DatasetError as error:
        return None, redact_text(str(error))


def _read_task(metadata: Mapping[str, Any]) -> Task | None:
    """Return the task that a model recorded; None for models of older releases."""
    try:
        return Task.model_validate(metadata["task"])
    except (KeyError, ValidationError):
        return None


def _find_other_label(
    recipe: Recipe,
    champion: ModelVersion,
    model: ModelVersion,
    champion_task: Task | None,
    task: Task | None,
) -> str:
    """Return how the labels of two models differ; empty where they do not, or it is not known."""
    if champion_task is None or task is None:
        return ""
    if differences := champion_task.find_differences(task, ("label",)):
        return f"{champion.uri} and {model.uri} predict different labels ({'; '.join(differences)})"
    weights = champion_task.find_differences(task, ("weights",))
    if weights and recipe.evaluate.weighted:
        return (
            f"{champion.uri} and {model.uri} have rows of different weights, and "
            f"evaluate.weighted is true ({'; '.join(weights)})"
        )
    return ""


def _do_without_dataset(champion: ModelVersion, reason: str, is_proven: bool) -> dict[str, Any]:
    """Return what is known without the champion's dataset, as `describe_champion` does."""
    text = f"the dataset of {champion.uri} is gone: {reason}"
    if is_proven:
        remark = f"{text}; both splits have one definition, so it was trained on no test row"
        return {"remarks": [remark]}
    fix = (
        "it alone says which rows the champion was trained on; restore it from a backup, and run "
        "`headrace vacuum` with --keep-hours longer than a champion stays one"
    )
    return {"why_not": f"{text}; {fix}"}


def _is_same_split(champion_task: Task | None, task: Task | None) -> bool:
    """Return whether a row is in the same split of both datasets by definition."""
    return bool(
        champion_task
        and task
        and champion_task.split == task.split
        and task.is_split_by_definition
        and champion_task.is_split_by_definition
    )


def _find_other_rows(champion_task: Task | None, task: Task | None) -> str:
    """Return why rows of two datasets cannot be matched by their identity; empty where they can."""
    if not (champion_task and task and champion_task.rows and task.rows):
        return ""
    before, now = dict(champion_task.rows), dict(task.rows)
    types_before, types_now = before.pop(_KEY_TYPES), now.pop(_KEY_TYPES)
    if now[DEDUP_KEY]:  # what identifies the rows without a key does not concern the others
        before = {DEDUP_KEY: before[DEDUP_KEY]}
        now = {DEDUP_KEY: now[DEDUP_KEY]}
        for name, kind in types_now.items():
            if kind and (types_before or {}).get(name):  # older records do not have them
                before[f"type of {name}"], now[f"type of {name}"] = types_before[name], kind
    differences = describe_differences(before, now)
    if not differences:
        return ""
    return f"the datasets identify their rows differently ({'; '.join(differences)})"


def _is_split_beside_key(task: Task | None) -> bool:
    """Return whether a row stays in its split when the values of its dedup key are made anew."""
    if task is None:
        return False
    key = task.rows.get(DEDUP_KEY) or []
    return not {*key} & {*(task.split.get("split.key") or [])}


def _has_no_key(task: Task | None) -> bool:
    """Return whether rows are identified by their values: those of another identity are others."""
    return task is not None and not task.rows.get(DEDUP_KEY)
