"""Compare the settings that a checkpoint's state depends on with those of the recipe at hand.

A state is made by settings: moments by the optimizer, the best epoch by its metric, the position by
batch and shuffle. Under other ones it means something else, so it is continued under its own.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.errors import TrainError
from headrace.labels.losses.custom import OwnLoss
from headrace.labels.losses.kinds import resolve_loss
from headrace.recipe import Recipe
from headrace.recipe.base import collect_identifying_values

# Keys of `train` that do not change the trained model.
_NOT_IDENTIFYING = (
    "ranks", "threads_per_rank", "collective_timeout", "step_timeout", "compare_every",
    "max_restarts", "checkpoint", "min_ranks", "max_ranks", "launcher", "collectives",
)  # fmt: skip
_STREAM = ("canonical_shards", "shuffle", "block_rows", "memory", "last_batch")
# Schedules whose rate depends on how many epochs there are.
_BY_LENGTH = ("cosine", "polynomial")
_EPOCHS = "train.epochs"


def collect_settings(recipe: Recipe) -> dict[str, Any]:
    """Collect the sections of a recipe that determine a trained model, as plain values.

    The number of ranks is not among them: a training may be resumed on more or fewer. The source
    of the user's own loss is.

    Raises:
        RecipeError: the module of the user's own loss is not found.
    """
    tree = collect_identifying_values(recipe)
    train = {key: value for key, value in tree["train"].items() if key not in _NOT_IDENTIFYING}
    loss = resolve_loss(recipe.train.loss, recipe.label.kind)
    if loss is None:
        train.pop("loss", None)  # written out or not, it is what the label's kind has
    elif isinstance(loss, OwnLoss):
        train["loss"] = {**train["loss"], "source": loss.compute_digest(recipe.folder)}
    return {
        "model": tree["model"],
        "train": train,
        "stream": {key: tree["stream"][key] for key in _STREAM if key in tree["stream"]},
    }


def check_settings(
    saved: Mapping[str, Any] | None, current: Mapping[str, Any], epochs_run: int
) -> None:
    """Check that a checkpoint's state is continued under the settings that made it.

    More epochs are no other setting where the learning rate does not depend on their number: the
    state is that of the longer training at the same point.

    Args:
        saved: what `collect_settings` returned when the checkpoint was written; None where an older
            Headrace wrote it.
        current: of the recipe at hand.
        epochs_run: number of epochs that the state has behind it.

    Raises:
        TrainError: a setting differs; all are named with both values.
    """
    if saved is None:
        return
    before, now = dict(_flatten(saved)), dict(_flatten(current))
    schedule = now.get("train.schedule.kind")
    if schedule not in _BY_LENGTH and now[_EPOCHS] >= epochs_run:
        before[_EPOCHS] = now[_EPOCHS]
    differences = _list_differences(before, now)
    if differences:
        raise TrainError(
            f"the checkpoint is of a training with other settings: {'; '.join(differences)}. Its "
            "state depends on them: continue it with its own settings, or begin anew with --resume "
            "never (train.initial_model begins with the weights of a registered model)"
        )


def list_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the settings that differ, with both values, in words."""
    return _list_differences(dict(_flatten(before)), dict(_flatten(now)))


def _list_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} is {_show(before, key)} there and {_show(now, key)} here"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield leaves by dotted key; a list is a leaf."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        # As JSON has it: a checkpoint's values have been through it.
        yield prefix, json.loads(json.dumps(tree))


def _show(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "not set"
