"""A training that is killed, or told to end, and goes on: as if nothing had been."""

import os
import random
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.resuming import (
    EPOCHS,
    assert_same,
    build_command,
    disturb_training,
    prepare_long_training,
    train_undisturbed,
)
from tests.e2e.running import BIN, ROOT, headrace, mlflow_server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_long_training(tmp_path_factory.mktemp("resume"))


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict:
    result = train_undisturbed(folder, folder / "undisturbed")
    assert result["metrics"]["epochs"] == EPOCHS
    return result


def disturbed(folder: Path, workdir: Path, epoch: int, act: Callable[[int], None]) -> int:
    """Train, and act on the process group when an epoch is reported; returns the exit code."""
    return disturb_training(folder, workdir, epoch, act)[0]


def kill(group: int) -> None:
    os.killpg(group, signal.SIGKILL)


def tell(number: int) -> Callable[[int], None]:
    return lambda launcher: os.kill(launcher, number)


def test_a_killed_training_ends_with_the_same_weights(
    folder: Path, undisturbed: dict, tmp_path: Path
) -> None:
    assert disturbed(folder, tmp_path, 23, kill) == -signal.SIGKILL
    done = headrace(*build_command(folder, tmp_path))
    assert done.code == 0, done.err
    assert re.search(r"continuing (in|after) epoch (2[2-9]|3\d)", done.err)
    assert_same(done.result, undisturbed)
    # it is finished: the same command begins a new one
    again = headrace(*build_command(folder, tmp_path))
    assert "continuing" not in again.err
    assert_same(again.result, undisturbed)


@pytest.mark.long
def test_a_killed_training_goes_on_without_petastorm(
    folder: Path, undisturbed: dict, tmp_path: Path
) -> None:
    """Under the other engine, in an environment where whoever imports Petastorm fails."""
    assert disturbed(folder, tmp_path, 23, kill) == -signal.SIGKILL
    package = tmp_path / "without" / "petastorm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('Petastorm was imported')\n")
    without = {"PYTHONPATH": os.pathsep.join(filter(None, [
        str(package.parent), os.environ.get("PYTHONPATH"),
    ]))}  # fmt: skip
    refused = headrace(*build_command(folder, tmp_path), **without)
    assert refused.code == 1
    assert "Petastorm cannot be imported (AssertionError: Petastorm was imported)" in refused.err
    done = headrace(*build_command(folder, tmp_path, "--set", "stream.engine=pyarrow"), **without)
    assert done.code == 0, done.err
    assert re.search(r"continuing (in|after) epoch (2[2-9]|3\d)", done.err)
    assert_same(done.result, undisturbed)


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
    done = headrace(*build_command(folder, tmp_path))
    assert done.code == 0, done.err
    assert "continuing" in done.err
    assert_same(done.result, undisturbed)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    client = mlflow.MlflowClient()
    run = client.get_run(done.result["run_id"])
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "validation/loss")
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
                str(BIN / "headrace"), *build_command(folder, tmp_path),
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
        done = headrace(*build_command(folder, tmp_path, "--set", f"tracking.uri={address}"))
    assert done.code == 0, done.err
    assert f"continuing after epoch {EPOCHS}" in done.err
    assert_same(done.result, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("turn", range(10))
def test_kills_at_random_times(folder: Path, undisturbed: dict, tmp_path: Path, turn: int) -> None:
    epoch = random.Random(turn).randrange(1, EPOCHS)
    assert disturbed(folder, tmp_path, epoch, kill) == -signal.SIGKILL
    done = headrace(*build_command(folder, tmp_path))
    assert done.code == 0, done.err
    assert_same(done.result, undisturbed)
