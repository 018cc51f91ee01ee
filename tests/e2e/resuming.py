"""A training that is ended and started again, and one that nobody disturbed to compare it with."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.running import BIN, ROOT, headrace, prepared_tiny
from tests.tiny import tiny_tree

EPOCHS = 40


def prepare_long_training(folder: Path) -> Path:
    """A prepared dataset and a recipe: dropout, momentum, a plateau, gradients gathered by two."""
    tree = tiny_tree()
    tree["model"] = {"kind": "mlp", "hidden": [16, 8], "dropout": 0.2}
    tree["train"] |= {
        "epochs": EPOCHS,
        "ranks": 2,
        "accumulate": 2,
        "optimizer": {"kind": "sgd", "learning_rate": 0.3, "momentum": 0.9},
        "schedule": {"kind": "plateau", "factor": 0.7, "patience": 1},
        "checkpoint": {"every_steps": 2, "every_epochs": 3},
    }
    return prepared_tiny(folder, tree)


def build_command(folder: Path, workdir: Path, *options: str) -> list[str]:
    recipe = str(folder / "tiny.yaml")
    return ["train", recipe, "--workdir", str(workdir), "--json", *options]


def train_undisturbed(folder: Path, workdir: Path, *options: str) -> dict[str, Any]:
    done = headrace(*build_command(folder, workdir, *options))
    assert done.code == 0, done.err
    return done.result


def disturb_training(
    folder: Path, workdir: Path, epoch: int, act: Callable[[int], None]
) -> tuple[int, str]:
    """Train, and act on the launcher's process when an epoch is reported; return code and output.

    Args:
        folder: with the recipe.
        workdir: of the command.
        epoch: first one at which to act; it is done once.
        act: called with the process, which leads its group.
    """
    process = subprocess.Popen(
        [str(BIN / "headrace"), *build_command(folder, workdir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stderr is not None
    said, is_done = "", False
    for line in process.stderr:
        said += line
        reached = re.search(r"epoch (\d+) of", line)
        if not is_done and reached and int(reached[1]) >= epoch:
            is_done = True
            act(process.pid)
    return process.wait(timeout=60), said


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Weights are the same bit for bit, and so is what is said of them."""
    assert found["weights_checksum"] == expected["weights_checksum"]
    for name in ("val_loss", "train_loss", "best_epoch", "epochs"):
        assert found["metrics"][name] == expected["metrics"][name], name
