"""Large embedding tables on the whole road: killed, resumed, elastic, evaluated, scored, served."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from tests.e2e.resuming import (
    assert_same,
    build_command,
    disturb_training,
    train_undisturbed,
)
from tests.e2e.running import headrace, prepared_tiny
from tests.e2e.test_elastic import is_rank
from tests.tiny import tiny_tree

pytestmark = [pytest.mark.e2e, pytest.mark.long]
EPOCHS = 40


def make_tree(**train: Any) -> dict[str, Any]:
    """A recipe of a dlrm over hashes of more ids than a batch has; its table is trained by row."""
    tree = tiny_tree()
    tree["features"]["visitor"] = {"kind": "hash", "column": "visit", "buckets": 3000}
    tree["features"]["pair"] = {"kind": "cross", "columns": ["shop", "note"], "buckets": 900}
    tree["model"] = {"kind": "dlrm", "bottom": [8], "hidden": [8], "embedding_width": 4}
    tree["train"] |= {
        "epochs": EPOCHS,
        "ranks": 2,
        "optimizer": {"kind": "adam", "learning_rate": 0.01, "sparse": "lazy"},
        **train,
    }
    return tree


def kill_all(launcher: int) -> None:
    os.killpg(launcher, signal.SIGKILL)


def kill_rank(number: int) -> Callable[[int], None]:
    def kill(launcher: int) -> None:
        ranks = [p for p in psutil.Process(launcher).children() if is_rank(p)]
        sorted(ranks, key=lambda p: p.pid)[number].send_signal(signal.SIGKILL)

    return kill


def read_weights(workdir: Path) -> dict[str, np.ndarray]:
    import keras

    (file,) = (workdir / "mlflow").rglob("model.keras")
    model = keras.saving.load_model(file, safe_mode=True)
    return {variable.path: np.array(variable.numpy()) for variable in model.weights}


@pytest.mark.parametrize(
    "optimizer",
    [
        {"kind": "adam", "learning_rate": 0.01, "sparse": "lazy"},
        {"kind": "rowwise_adagrad", "learning_rate": 0.1, "clip_norm": 0.05},
    ],
    ids=lambda optimizer: optimizer["kind"],
)
def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path, optimizer: dict[str, Any]) -> None:
    """Tables, and the moments of their rows; with gradients of two batches, under other epochs."""
    checkpoint = {"every_steps": 2, "every_epochs": 3}
    tree = make_tree(optimizer=optimizer, accumulate=2, checkpoint=checkpoint)
    folder = prepared_tiny(tmp_path / "folder", tree)
    undisturbed = train_undisturbed(folder, tmp_path / "undisturbed")
    code, said = disturb_training(folder, tmp_path / "w", 23, kill_all)
    assert code == -signal.SIGKILL
    assert re.search(r"table\.4: 3,\d{3} rows of 4, .* updated by row; a rank sends at most", said)
    done = headrace(*build_command(folder, tmp_path / "w"))
    assert done.code == 0, done.err
    assert re.search(r"continuing (in|after) epoch (2[2-9]|3\d)", done.err)
    assert_same(done.result, undisturbed)
    metrics = done.result["metrics"]
    assert 0 < metrics["table_rows_per_update"] < 64 * 2 * 5
    assert metrics["table_bytes_per_update"] > 0


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_rank_is_replaced(tmp_path: Path, lost: int) -> None:
    sgd = {"kind": "sgd", "learning_rate": 0.2}
    tree = make_tree(epochs=120, min_ranks=1, optimizer=sgd, checkpoint={"every_epochs": 0})
    folder = prepared_tiny(tmp_path / "folder", tree)
    train_undisturbed(folder, tmp_path / "undisturbed")
    expected = read_weights(tmp_path / "undisturbed")
    code, said = disturb_training(folder, tmp_path / "w", 5, kill_rank(lost))
    assert code == 0, said
    assert f"rank {lost} of 2 was killed by SIGKILL" in said
    assert "going on with 2 ranks instead of 1" in said
    found = read_weights(tmp_path / "w")
    assert found.keys() == expected.keys()
    for path, values in expected.items():
        np.testing.assert_allclose(found[path], values, rtol=2e-5, atol=2e-6, err_msg=path)


def test_one_model_gives_one_answer_and_the_next_one_begins_with_it(tmp_path: Path) -> None:
    """Evaluated, promoted, scored; then a refit, whose training takes rows over by their values."""
    folder = prepared_tiny(tmp_path / "folder", make_tree())
    recipe, workdir = str(folder / "tiny.yaml"), ["--workdir", str(tmp_path), "--json"]
    for command in ("train", "evaluate", "promote"):
        done = headrace(command, recipe, *workdir)
        assert done.code == 0, done.err
    tree = yaml.safe_load((folder / "tiny.yaml").read_text())
    lake, out = tree["source"]["tables"]["visits"]["path"], tmp_path / "scores"
    done = headrace("score", recipe, *workdir, "--input", lake, "--output", str(out))
    assert done.code == 0, done.err
    scored = pq.read_table(next(out.glob("**/*.parquet")))
    assert scored.num_rows
    assert np.isfinite(scored["probability"].to_numpy()).all()
    tree["train"] |= {"initial_model": "models:/tiny/1", "epochs": 1}
    tree["features"]["shop"]["oov_ids"] = 2
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tree))
    for command in ("prepare", "train"):
        done = headrace(command, recipe, *workdir)
        assert done.code == 0, done.err
    assert "train.initial_model: visitor: 3,001 ids kept, 0 new, 0 gone" in done.err
    # ids of unknown shops are two now, and are not those of before
    assert re.search(r"train.initial_model: shop: \d ids kept, 2 new, 1 gone", done.err)
