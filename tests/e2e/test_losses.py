"""Losses learn what they are for, on rows whose quantiles, medians and rates are known.

y = 10 + 20 x + (1 + 2 x) e, where e is exponential with mean 1: its quantile q is -ln(1 - q), which
no mean is. A fifth of the train rows has a wild label, and no weight.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import ModelError, TrainError
from headrace.evaluate import evaluate
from headrace.features.scaled import ScaledFeature
from headrace.labels.spec import LabelSpec
from headrace.lake.data_file import SPLITS
from headrace.progress import ignore_progress
from headrace.recipe import Recipe
from headrace.recipe.lines import KeyLines
from headrace.train import train
from headrace.transform.spec import RawColumn, TransformSpec
from tests.e2e.test_kinds_of_label import loaded, recipe, run, write_version

pytestmark = [pytest.mark.e2e, pytest.mark.long]
ROWS = {"train": 6000, "validation": 1500, "test": 4000}
CENTER, SCALE = 22.0, 7.0
MINE = """
import tensorflow as tf

def three_quarters(labels, outputs, level):
    error = labels - outputs
    return tf.maximum(level * error, (level - 1) * error)
"""


def draw_numbers(split: str) -> pa.Table:
    random = np.random.default_rng(20 + SPLITS.index(split))
    x = random.random(ROWS[split])
    label = 10 + 20 * x + (1 + 2 * x) * random.exponential(size=len(x))
    return make_table(split, random, x, (label - CENTER) / SCALE)


def draw_counts(split: str) -> pa.Table:
    random = np.random.default_rng(30 + SPLITS.index(split))
    x = random.random(ROWS[split])
    return make_table(split, random, x, random.poisson(np.exp(0.5 + 1.5 * x)))


def make_table(
    split: str, random: np.random.Generator, x: np.ndarray, label: np.ndarray
) -> pa.Table:
    wild = random.random(len(x)) < 0.2 if split == "train" else np.zeros(len(x), bool)
    columns = {
        "x": x,
        "label": np.where(wild, label + 90, label).astype(np.float32),
        "sample_weight": np.where(wild, 0, 0.5).astype(np.float32),
    }
    return pa.table(columns)


def make_spec(label: LabelSpec) -> TransformSpec:
    return TransformSpec(
        raw=(RawColumn(name="x", kind="real", nullable=False),),
        derived=(),
        features=(ScaledFeature(name="x", column="x", center=0.5, scale=0.3),),
        label=label,
    )


def make_recipe(workdir: Path, kind: str, loss: Any, ranks: int = 1) -> Recipe:
    train = {
        "epochs": 25, "global_batch_size": 128, "ranks": ranks, "seed": 4,
        "optimizer": {"learning_rate": 0.01}, "schedule": {"kind": "cosine"},
        **({"loss": loss} if loss else {}),
    }  # fmt: skip
    made = recipe(
        workdir,
        label={"expression": "y", "kind": kind, "sample_weight": "w"},
        features={"x": {"kind": "standardize"}},
        derive={},
        model={"kind": "mlp", "hidden": [16]},
        train=train,
        evaluate={"bootstrap": 50},
    )
    return made.with_lines(KeyLines(), str(workdir))


def write_numbers(folder: Path) -> None:
    label = LabelSpec(kind="regression", center=CENTER, scale=SCALE, weighted=True)
    write_version(folder / "dataset", make_spec(label), {n: draw_numbers(n) for n in SPLITS})


@pytest.mark.parametrize(
    ("loss", "level"),
    [
        ({"kind": "quantile", "level": 0.9}, 0.9),
        ({"kind": "absolute_error"}, 0.5),
    ],
)
def test_a_known_quantile_and_median_are_learned(tmp_path: Path, loss: Any, level: float) -> None:
    write_numbers(tmp_path)
    trained, evaluated = run(tmp_path, make_recipe(tmp_path, "regression", loss))
    raw = draw_numbers("test").to_pandas()
    served = loaded(tmp_path, trained).predict(raw[["x"]])["prediction"].to_numpy()
    truth = raw["label"].to_numpy() * SCALE + CENTER
    known = 10 + 20 * raw["x"] + (1 + 2 * raw["x"]) * -np.log(1 - level)
    mean = 10 + 20 * raw["x"] + (1 + 2 * raw["x"])
    assert np.abs(served - known).mean() < 0.25
    assert np.abs(served - known).mean() < np.abs(mean - known).mean() / 2
    # Of 4,000 rows the share has a standard deviation of 0.008 at most.
    assert np.mean(truth <= served) == pytest.approx(level, abs=0.03)
    error = truth - served
    pinball = np.maximum(level * error, (level - 1) * error).mean()
    metrics = evaluated.metrics
    if level == 0.5:
        assert metrics["mae"] == pytest.approx(2 * pinball, rel=1e-4)
        assert metrics["d2_absolute_error"] > 0.6
        return
    assert metrics["pinball_loss"] == pytest.approx(pinball, rel=1e-4)
    assert metrics["coverage"] == pytest.approx(np.mean(truth <= served), abs=1e-3)
    assert metrics["d2_pinball"] > 0.5
    assert set(trained.metrics) >= {"val_loss"}
    assert "val_mae" not in trained.metrics
    other = make_recipe(tmp_path, "regression", None)
    with pytest.raises(ModelError, match=r'train\.loss \{"kind": "quantile", "level": 0\.9\}'):
        evaluate(other, workdir=str(tmp_path), report=ignore_progress)


def test_a_known_rate_is_learned(tmp_path: Path) -> None:
    label = LabelSpec(kind="count", weighted=True)
    write_version(tmp_path / "dataset", make_spec(label), {n: draw_counts(n) for n in SPLITS})
    trained, evaluated = run(tmp_path, make_recipe(tmp_path, "count", {"kind": "poisson"}))
    raw = draw_counts("test").to_pandas()
    served = loaded(tmp_path, trained).predict(raw[["x"]])["prediction"].to_numpy()
    rate = np.exp(0.5 + 1.5 * raw["x"])
    assert np.abs(served / rate - 1).mean() < 0.05
    assert evaluated.metrics["d2_poisson"] > 0.25


def test_a_loss_of_the_users_own_is_trained_evaluated_and_bound_to_its_file(tmp_path: Path) -> None:
    write_numbers(tmp_path)
    module = tmp_path / "losses_of_mine.py"
    module.write_text(MINE)
    loss = {
        "kind": "python", "function": "losses_of_mine:three_quarters", "options": {"level": 0.75},
    }  # fmt: skip
    wanted = make_recipe(tmp_path, "regression", loss, ranks=2)
    trained, evaluated = run(tmp_path, wanted)
    raw = draw_numbers("test").to_pandas()
    served = loaded(tmp_path, trained).predict(raw[["x"]])["prediction"].to_numpy()
    truth = raw["label"].to_numpy() * SCALE + CENTER
    assert np.mean(truth <= served) == pytest.approx(0.75, abs=0.04)
    error = truth - served
    expected = np.maximum(0.75 * error, -0.25 * error).mean()
    assert evaluated.metrics["loss"] == pytest.approx(expected, rel=1e-4)
    assert "r2" in evaluated.metrics

    module.write_text(MINE + "\n# another file\n")
    with pytest.raises(ModelError, match=r"losses_of_mine:three_quarters of another file"):
        evaluate(wanted, workdir=str(tmp_path), report=ignore_progress)
    module.write_text(MINE.replace("return ", "return 0 * error  # "))
    with pytest.raises(TrainError, match=r"has no gradient.*before the first epoch"):
        train(wanted, workdir=str(tmp_path), report=ignore_progress)
