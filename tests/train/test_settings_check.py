"""Settings that a checkpoint depends on: each one that differs is named, with both values."""

import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import RecipeError, TrainError
from headrace.train.settings_check import check_settings, collect_settings
from tests.tiny import tiny_recipe

# A setting of every section, as an override.
CHANGED = {
    "model.hidden": "[9]",
    "model.dropout": "0.5",
    "train.global_batch_size": "128",
    "train.seed": "5",
    "train.optimizer.learning_rate": "0.01",
    "train.optimizer.kind": "sgd",
    "train.optimizer.clip_norm": "1.0",
    "train.schedule.kind": "cosine",
    "train.early_stopping.patience": "4",
    "train.early_stopping.metric": "accuracy",
    "train.loss.kind": "focal",
    "train.accumulate": "2",
    "train.label_smoothing": "0.1",
    "train.augment.noise": "0.5",
    "train.precision": "mixed_float16",
    "train.compression": "fp16",
    "stream.canonical_shards": "16",
    "stream.shuffle": "false",
    "stream.memory": "99000000",
    "stream.last_batch": "drop",
}
FREE = {
    "train.ranks": "2",
    "train.threads_per_rank": "2",
    "train.max_restarts": "3",
    "train.collectives": "tensorflow",
    "train.checkpoint.keep": "5",
    "tracking.experiment": "other",
    "evaluate.confidence": "0.8",
}


@pytest.mark.parametrize(("key", "value"), CHANGED.items())
def test_a_setting_that_differs_is_named_both_ways(key: str, value: str, tmp_path: Path) -> None:
    before = collect_settings(tiny_recipe(tmp_path))
    after = collect_settings(tiny_recipe(tmp_path, f"{key}={value}"))
    for saved, current in ((before, after), (after, before)):
        with pytest.raises(TrainError, match="with other settings") as caught:
            check_settings(saved, current, 1)
        assert key.rpartition(".")[0] in str(caught.value)
    check_settings(after, after, 1)


@pytest.mark.parametrize(("key", "value"), FREE.items())
def test_what_the_state_does_not_depend_on_is_free(key: str, value: str, tmp_path: Path) -> None:
    before = collect_settings(tiny_recipe(tmp_path))
    check_settings(before, collect_settings(tiny_recipe(tmp_path, f"{key}={value}")), 1)


@pytest.mark.parametrize(
    ("schedule", "epochs", "epochs_run", "fits"),
    [
        ("{kind: fixed}", 9, 2, True),
        ("{kind: exponential}", 9, 2, True),
        ("{kind: plateau}", 9, 2, True),
        ("{kind: fixed}", 1, 2, False),  # fewer than it has behind it
        ("{kind: cosine}", 9, 2, False),  # its rates were of a shorter training
        ("{kind: polynomial}", 9, 2, False),
    ],
)
def test_more_epochs_are_the_same_training_where_no_rate_depends_on_them(
    schedule: str, epochs: int, epochs_run: int, fits: bool, tmp_path: Path
) -> None:
    override = f"train.schedule={schedule}"
    saved = collect_settings(tiny_recipe(tmp_path, override))
    current = collect_settings(tiny_recipe(tmp_path, override, f"train.epochs={epochs}"))
    if fits:
        check_settings(saved, current, epochs_run)
        return
    with pytest.raises(TrainError, match=f"train.epochs is 2 there and {epochs} here"):
        check_settings(saved, current, epochs_run)


def test_a_checkpoint_of_an_older_headrace_has_none_to_compare(tmp_path: Path) -> None:
    check_settings(None, collect_settings(tiny_recipe(tmp_path)), 1)


def test_values_are_compared_as_a_checkpoint_has_them(tmp_path: Path) -> None:
    import json

    settings: dict[str, Any] = collect_settings(tiny_recipe(tmp_path))
    check_settings(json.loads(json.dumps(settings)), settings, 0)


def test_the_source_of_a_loss_of_the_users_own_is_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "my_losses.py"
    function = "train.loss={kind: python, function: 'my_losses:mine'}"

    def collect(text: str) -> dict[str, Any]:
        module.write_text(f"raise SystemError('it is not run')\n{text}")
        return collect_settings(tiny_recipe(tmp_path, function))

    before, same, after = collect("x = 1"), collect("x = 1"), collect("x = 2")
    check_settings(before, same, 1)
    with pytest.raises(TrainError, match=r"train\.loss\.source is .* there and .* here"):
        check_settings(before, after, 1)
    module.unlink()
    with pytest.raises(RecipeError, match=r"train\.loss\.function: .* there is no module"):
        collect_settings(tiny_recipe(tmp_path, function))
