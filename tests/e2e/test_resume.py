"""A training that is killed, or told to end, and goes on: as if nothing had been."""

import os
import random
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.running import BIN, ROOT, headrace, mlflow_server, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = pytest.mark.e2e
EPOCHS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset and a recipe: dropout, momentum, a plateau, gradients gathered by two."""
    folder = tmp_path_factory.mktemp("resume")
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


def command(folder: Path, workdir: Path, *options: str) -> list[str]:
    recipe = str(folder / "tiny.yaml")
    return ["train", recipe, "--workdir", str(workdir), "--json", *options]


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict:
    done = headrace(*command(folder, folder / "undisturbed"))
    assert done.code == 0, done.err
    assert done.result["metrics"]["epochs"] == EPOCHS
    return done.result


def disturbed(folder: Path, workdir: Path, epoch: int, act: Callable[[int], None]) -> int:
    """Train, and act on the process group when an epoch is reported; returns the exit code."""
    process = subprocess.Popen(
        [str(BIN / "headrace"), *command(folder, workdir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"epoch (\d+) of", line)
        if found and int(found[1]) >= epoch:
            act(process.pid)
            break
    process.stderr.read()
    return process.wait(timeout=60)


def kill(group: int) -> None:
    os.killpg(group, signal.SIGKILL)


def tell(number: int) -> Callable[[int], None]:
    return lambda launcher: os.kill(launcher, number)


def same(found: dict, expected: dict) -> None:
    assert found["weights_checksum"] == expected["weights_checksum"]
    for name in ("val_loss", "train_loss", "best_epoch", "epochs"):
        assert found["metrics"][name] == expected["metrics"][name], name


def test_a_killed_training_ends_with_the_same_weights(
    folder: Path, undisturbed: dict, tmp_path: Path
) -> None:
    assert disturbed(folder, tmp_path, 23, kill) == -signal.SIGKILL
    done = headrace(*command(folder, tmp_path))
    assert done.code == 0, done.err
    assert re.search(r"continuing (in|after) epoch (2[2-9]|3\d)", done.err)
    same(done.result, undisturbed)
    # it is finished: the same command begins a new one
    again = headrace(*command(folder, tmp_path))
    assert "continuing" not in again.err
    same(again.result, undisturbed)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 143, marks=pytest.mark.long),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.long),
    ],
)
def test_being_told_to_end_leaves_a_checkpoint(
    folder: Path, undisturbed: dict, tmp_path: Path, number: int, code: int
) -> None:
    import mlflow

    assert disturbed(folder, tmp_path, 5, tell(number)) == code
    (attempt,) = (tmp_path / "checkpoints").glob("*/*")
    assert not (attempt / "finished.json").exists()
    done = headrace(*command(folder, tmp_path))
    assert done.code == 0, done.err
    assert "continuing" in done.err
    same(done.result, undisturbed)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    client = mlflow.MlflowClient()
    run = client.get_run(done.result["run_id"])
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "val_loss")
    assert [m.step for m in history] == list(range(EPOCHS))  # one run, every epoch once


@pytest.mark.long
def test_a_tracking_server_that_dies_stops_nothing(
    folder: Path, undisturbed: dict, tmp_path: Path
) -> None:
    """It is stopped in mid-run, and back for the second command, which only registers."""
    store = tmp_path / "server"
    store.mkdir()
    with mlflow_server(store) as address:
        process = subprocess.Popen(
            [
                str(BIN / "headrace"), *command(folder, tmp_path),
                "--set", f"tracking.uri={address}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "epoch 4 of" in line:
                break
    said += process.stderr.read()
    assert process.wait(timeout=200) == 1
    assert "metrics are kept" in said
    assert f"epoch {EPOCHS} of {EPOCHS}" in said
    assert "run the same command again" in said
    port = address.rpartition(":")[2]
    with mlflow_server(store, int(port)):
        done = headrace(*command(folder, tmp_path, "--set", f"tracking.uri={address}"))
    assert done.code == 0, done.err
    assert f"continuing after epoch {EPOCHS}" in done.err
    same(done.result, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("turn", range(10))
def test_kills_at_random_times(folder: Path, undisturbed: dict, tmp_path: Path, turn: int) -> None:
    epoch = random.Random(turn).randrange(1, EPOCHS)
    assert disturbed(folder, tmp_path, epoch, kill) == -signal.SIGKILL
    done = headrace(*command(folder, tmp_path))
    assert done.code == 0, done.err
    same(done.result, undisturbed)
