"""A rank is lost and another one comes, and the training is the one that it would have been."""

import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.e2e.running import BIN, ROOT, headrace, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = pytest.mark.e2e
EPOCHS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset and a recipe: batch norm, momentum, gradients gathered by two."""
    folder = tmp_path_factory.mktemp("elastic")
    tree = tiny_tree()
    tree["model"] = {"kind": "mlp", "hidden": [16, 8], "normalize": "batch"}
    tree["train"] |= {
        "epochs": EPOCHS,
        "ranks": 2,
        "min_ranks": 1,
        "accumulate": 2,
        "optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
        "checkpoint": {"every_epochs": 0},
    }
    return prepared_tiny(folder, tree)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> list[np.ndarray]:
    recipe = str(folder / "tiny.yaml")
    done = headrace("train", recipe, "--workdir", str(folder / "undisturbed"), "--json")
    assert done.code == 0, done.err
    return weights(folder / "undisturbed", done.result["model_uri"])


def weights(workdir: Path, uri: str) -> list[np.ndarray]:
    """Of a registered model."""
    import keras

    (file,) = (workdir / "mlflow").rglob("model.keras")
    assert uri.endswith("/1")
    return [np.array(v) for v in keras.models.load_model(file, safe_mode=True).weights]


@pytest.mark.long
@pytest.mark.parametrize("collectives", ["horovod", "tensorflow"])
@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_rank_is_replaced(
    folder: Path, undisturbed: list[np.ndarray], tmp_path: Path, lost: int, collectives: str
) -> None:
    """Also where it is rank 0, which has the tracked run and the checkpoints."""
    process = subprocess.Popen(
        [
            str(BIN / "headrace"), "train", str(folder / "tiny.yaml"), "--workdir", str(tmp_path),
            "--set", f"train.collectives={collectives}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if re.search(r"epoch \d+ of", line) and "was killed" not in said:
            ranks = [p for p in psutil.Process(process.pid).children() if is_rank(p)]
            ranks.sort(key=lambda p: p.pid)
            ranks[lost].send_signal(signal.SIGKILL)
            said += "was killed\n"
    err = process.stderr.read()
    assert process.wait(timeout=60) == 0, said + err
    assert f"rank {lost} of 2 was killed by SIGKILL" in said
    assert "going on with 1 ranks instead of 2" in said
    assert "going on with 2 ranks instead of 1" in said
    found = weights(tmp_path, "models:/tiny/1")
    for ours, theirs in zip(found, undisturbed, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    losses = client.get_metric_history(run.info.run_id, "train/loss")
    assert sorted({m.step for m in losses}) == list(range(EPOCHS))


def is_rank(process: psutil.Process) -> bool:
    try:
        return any("distributed.rank.main" in word for word in process.cmdline())
    except psutil.Error:  # it has just ended
        return False
