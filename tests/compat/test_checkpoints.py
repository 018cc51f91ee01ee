"""Kept checkpoints: a killed training goes on, a finished one is registered from where it was."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.errors import TrainError
from headrace.lake import DatasetVersion
from headrace.train.checkpoint import Checkpoints, compute_training_id, read_checkpoint
from tests.compat.kept import command, kept_recipe
from tests.fixtures.v1.unpack import expected

pytestmark = pytest.mark.e2e
CASES = ("killed", "ended", "stopped_early")
# What rounding of another TensorFlow adds up to in the epochs that the killed one had to go.
_WEIGHTS = {"rtol": 2e-3, "atol": 2e-4}


def options(case: str) -> list[str]:
    values = expected()["checkpoints"][case]["settings"]
    return [word for k, v in values.items() for word in ("--set", f"{k}={json.dumps(v)}")]


def same_tensorflow() -> bool:
    return version("tensorflow") == expected()["versions"]["tensorflow"]


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_is_found_where_it_was_written(kept: Path, case: str) -> None:
    facts = expected()["checkpoints"][case]
    recipe = kept_recipe(kept, "visits", *options(case)[1::2])
    dataset = DatasetVersion.open(recipe.dataset.path)
    place = Path(facts["place"])
    assert compute_training_id(recipe, dataset) == place.parts[1]
    checkpoints = Checkpoints(str(kept / "checkpoints" / place.parts[1]))
    saved = checkpoints.read(place.parts[2], place.name)
    assert saved.state["dataset"] == dataset.digest
    assert checkpoints.list_unfinished() == ([place.parts[2]] if case == "killed" else [])


def test_a_killed_training_goes_on_to_where_it_would_have_come(own: Path) -> None:
    facts = expected()["checkpoints"]["killed"]
    done = command(own, "train", "visits", *options("killed"))
    assert done.code == 0, done.err
    assert re.search(r"continuing in epoch \d+ after step \d+ of", done.err)
    if same_tensorflow():
        assert done.result["weights_checksum"] == facts["weights_checksum"]
    for name in ("val_loss", "train_loss", "val_roc_auc", "epochs", "best_epoch"):
        assert done.result["metrics"][name] == pytest.approx(facts["metrics"][name], rel=1e-3), name
    wanted = read_checkpoint(str(own / "undisturbed.ckpt")).arrays
    attempt = (own / facts["place"]).parent
    found = read_checkpoint(str(max(attempt.glob("*.ckpt")))).arrays
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, err_msg=name, **_WEIGHTS)


@pytest.mark.long
@pytest.mark.parametrize("case", ["ended", "stopped_early"])
def test_a_finished_training_is_registered_again(own: Path, case: str) -> None:
    facts = expected()["checkpoints"][case]
    done = command(own, "train", "visits", *options(case), "--resume", str(own / facts["place"]))
    assert done.code == 0, done.err
    # Nothing is left to train: the weights are those of then, to the last bit.
    assert done.result["weights_checksum"] == facts["weights_checksum"]
    assert done.result["metrics"]["epochs"] == facts["metrics"]["epochs"]


def test_a_checkpoint_of_a_newer_headrace_is_named(kept: Path, tmp_path: Path) -> None:
    saved = read_checkpoint(str(kept / expected()["checkpoints"]["ended"]["place"]))
    state: dict[str, Any] = {**saved.state, "format": 99}
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    with (tmp_path / "step-000000001.ckpt").open("wb") as file:
        np.savez(file, state=text, **saved.arrays)
    with pytest.raises(TrainError, match="is of format 99, this Headrace"):
        read_checkpoint(str(tmp_path / "step-000000001.ckpt"))
