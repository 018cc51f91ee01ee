"""Tables that are split over ranks, on the whole road: killed, resumed, elastic, served."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
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
from tests.e2e.test_sparse_tables import kill_all, kill_rank, make_tree, read_weights

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def make_sharded_tree(**train: Any) -> dict[str, Any]:
    """The recipe of `test_sparse_tables`, with tables of any size split over the ranks."""
    tree = make_tree(**train)
    tree["model"]["embeddings"] = {"shard_above": 1000}
    return tree


def test_one_model_gives_one_answer_and_the_next_one_begins_with_it(tmp_path: Path) -> None:
    """Trained on two ranks, evaluated, promoted, scored; then a refit takes rows over by value."""
    folder = prepared_tiny(tmp_path / "folder", make_sharded_tree())
    recipe, workdir = str(folder / "tiny.yaml"), ["--workdir", str(tmp_path), "--json"]
    done = headrace("train", recipe, *workdir)
    assert done.code == 0, done.err
    assert re.search(r"table\.4: 3,\d{3} rows of 4, .* on each of 2 ranks", done.err)
    for command in ("evaluate", "promote"):
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


def test_the_model_is_that_of_whole_tables(tmp_path: Path) -> None:
    """With the best epoch before the last one, so that rows are read back from its checkpoint."""
    sgd = {"kind": "sgd", "learning_rate": 0.9}
    expected = {}
    for name, tree in (
        ("whole", make_tree(optimizer=sgd, epochs=30)),
        ("sharded", make_sharded_tree(optimizer=sgd, epochs=30)),
    ):
        folder = prepared_tiny(tmp_path / name, tree)
        result = train_undisturbed(folder, tmp_path / f"{name} work")
        expected[name] = (result["metrics"], read_weights(tmp_path / f"{name} work"))
    metrics, weights = expected["whole"]
    found_metrics, found = expected["sharded"]
    assert found_metrics["best_epoch"] == metrics["best_epoch"]
    assert found.keys() == weights.keys()
    for path, values in weights.items():
        np.testing.assert_allclose(found[path], values, rtol=0, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("ranks", [2, 1, 4])
def test_a_killed_training_goes_on_under_any_number_of_ranks(tmp_path: Path, ranks: int) -> None:
    tree = make_sharded_tree(
        optimizer={"kind": "rowwise_adagrad", "learning_rate": 0.1},
        checkpoint={"every_steps": 2, "every_epochs": 3},
    )
    folder = prepared_tiny(tmp_path / "folder", tree)
    undisturbed = train_undisturbed(folder, tmp_path / "undisturbed")
    code, _ = disturb_training(folder, tmp_path / "w", 23, kill_all)
    assert code == -signal.SIGKILL
    done = headrace(*build_command(folder, tmp_path / "w", "--set", f"train.ranks={ranks}"))
    assert done.code == 0, done.err
    assert re.search(r"continuing (in|after) epoch (2[2-9]|3\d)", done.err)
    if ranks == 2:
        assert_same(done.result, undisturbed)
    expected, found = read_weights(tmp_path / "undisturbed"), read_weights(tmp_path / "w")
    for path, values in expected.items():
        np.testing.assert_allclose(found[path], values, rtol=2e-5, atol=2e-6, err_msg=path)


def test_a_damaged_file_is_named_and_the_checkpoint_before_it_is_taken(tmp_path: Path) -> None:
    tree = make_sharded_tree(checkpoint={"every_epochs": 1, "keep": 3})
    folder = prepared_tiny(tmp_path / "folder", tree)
    code, _ = disturb_training(folder, tmp_path / "w", 12, kill_all)
    assert code == -signal.SIGKILL
    newest = sorted((tmp_path / "w" / "checkpoints").rglob("*.ckpt"))[-1]
    shard = newest.with_name(f"{newest.stem}.table-0.variable-1.rank-00001-of-00002.npy")
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    done = headrace(*build_command(folder, tmp_path / "w"))
    assert done.code == 0, done.err
    assert f"skipped: {shard} is truncated or damaged" in done.err
    # what was never finished, and what is no longer needed, is removed
    left = [path.name for path in (tmp_path / "w" / "checkpoints").rglob("step-*")]
    steps = {name[:14] for name in left if name.endswith(".ckpt")}
    assert {name[:14] for name in left} == steps


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_rank_is_replaced(tmp_path: Path, lost: int) -> None:
    """Its rows are gone: all go on from the newest checkpoint, with the rows of each anew."""
    sgd = {"kind": "sgd", "learning_rate": 0.2}
    tree = make_sharded_tree(epochs=120, min_ranks=1, optimizer=sgd, checkpoint={"every_epochs": 2})
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


def test_a_training_that_is_asked_to_stop_goes_on(tmp_path: Path) -> None:
    tree = make_sharded_tree(checkpoint={"every_epochs": 0, "every_minutes": 0.02})
    folder = prepared_tiny(tmp_path / "folder", tree)
    undisturbed = train_undisturbed(folder, tmp_path / "undisturbed")
    code, said = disturb_training(
        folder, tmp_path / "w", 9, lambda pid: os.kill(pid, signal.SIGTERM)
    )
    assert code == 143, said
    done = headrace(*build_command(folder, tmp_path / "w"))
    assert done.code == 0, done.err
    assert re.search(r"continuing (in epoch (9|\d\d) after step|after epoch (9|\d\d))", done.err)
    assert_same(done.result, undisturbed)
