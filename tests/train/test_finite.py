"""Numbers that are not finite: found wherever they are, and named with the settings to look at."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from headrace.errors import TrainError
from headrace.labels.spec import LabelSpec
from headrace.progress import Progress
from headrace.recipe import sections as s
from headrace.train.checkpoint import Checkpoints
from headrace.train.checkpoint_policy import find_resume_point
from headrace.train.early_stopping import BestEpoch
from headrace.train.finite import check_model, check_predictions, check_variables
from headrace.train.state import TrainState
from headrace.train.validation import compute_validation_metrics

BAD = [float("nan"), float("inf"), float("-inf")]
SETTINGS = s.Train()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("value", BAD)
def test_one_bad_number_anywhere_is_found(dtype: str, value: float) -> None:
    random = np.random.default_rng(0)
    good = {"ids": np.arange(3), "kernel": random.normal(size=(3, 4)).astype(dtype)}
    check_variables(good, "here", SETTINGS)
    for place in range(12):
        bad = {**good, "kernel": good["kernel"].copy()}
        bad["kernel"].flat[place] = value
        with pytest.raises(TrainError, match="here 1 of the 12 numbers of kernel are not finite"):
            check_variables(bad, "here", SETTINGS)


def test_an_infinite_moment_of_the_optimizer_is_found() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    check_model(model, optimizer, "here", SETTINGS)
    optimizer.variables[-1].assign(np.full(optimizer.variables[-1].shape, np.inf))
    with pytest.raises(TrainError, match="velocity"):
        check_model(model, optimizer, "here", SETTINGS)


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_predictions_that_would_be_recorded_are_checked(shape: tuple[int, ...]) -> None:
    output = np.zeros(shape, np.float32)
    check_predictions(output, "rows", SETTINGS)
    output[3] = np.nan
    with pytest.raises(TrainError, match=r"for 1 of 5 rows are not finite \(first row 3\)"):
        check_predictions(output, "rows", SETTINGS)


@pytest.mark.parametrize("kind", ["binary", "classes", "multi_label", "regression", "count"])
@pytest.mark.parametrize("value", BAD)
def test_metrics_of_bad_predictions_are_nan_and_never_a_number(kind: str, value: float) -> None:
    names = ("a", "b", "c") if kind in ("classes", "multi_label") else ()
    label = LabelSpec(kind=kind, classes=names)
    shape = (6, 3) if names else (6,)
    truth: Any = np.array([0, 1, 0, 1, 1, 0], "float32")
    if kind == "classes":
        truth = truth.astype(int)
    if kind == "multi_label":
        truth = np.stack([truth, 1 - truth, truth], axis=1)
    predicted = np.full(shape, 0.25, np.float32)
    good = compute_validation_metrics(truth, predicted, label)
    assert all(map(np.isfinite, good.values()))
    predicted.flat[4] = value
    bad = compute_validation_metrics(truth, predicted, label)
    assert bad.keys() == good.keys()
    assert all(map(np.isnan, bad.values()))


def test_a_metric_that_is_not_defined_is_absent_and_not_nan() -> None:
    label, truth = LabelSpec(), np.ones(4, "float32")
    assert "roc_auc" not in compute_validation_metrics(truth, np.full(4, 0.5), label)
    assert "roc_auc" not in compute_validation_metrics(truth, np.full(4, np.nan), label)


def test_a_checkpoint_with_bad_numbers_is_skipped_and_named(tmp_path: Path) -> None:
    """An older Headrace wrote such ones."""
    checkpoints = Checkpoints(str(tmp_path))
    good, bad = np.ones(2, "float32"), np.array([1, np.nan], "float32")
    checkpoints.write_checkpoint("a", 1, {}, {"w0000": good, "o0000": good})
    checkpoints.write_checkpoint("a", 2, {}, {"w0000": good, "o0000": bad})
    location = checkpoints.write_checkpoint("a", 3, {}, {"w0000": bad, "o0000": good})
    told: list[Progress] = []
    point = find_resume_point(checkpoints, "auto", told.append)
    assert point.saved is not None
    assert point.saved.location.endswith("step-000000001.ckpt")
    assert [("skipped" in p.text, "not finite" in p.text) for p in told] == [(True, True)] * 2
    with pytest.raises(TrainError, match="not finite"):
        find_resume_point(checkpoints, location, told.append)


def test_a_best_epoch_of_an_older_checkpoint_that_is_nan_is_none() -> None:
    state = TrainState(BestEpoch(None, best=float("nan"), epoch=0), metrics={"val_loss": np.nan})
    assert TrainState.from_json(state.to_json(), None).best.epoch == -1
    unvalidated = TrainState(BestEpoch(None, epoch=0), metrics={"train_loss": 0.5})
    assert TrainState.from_json(unvalidated.to_json(), None).best.epoch == 0
