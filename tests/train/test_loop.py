"""The loop's own arithmetic and refusals; whole epochs are run in tests/e2e."""

import numpy as np
import pytest

from headrace.errors import TrainError
from headrace.train.loop import _followed, epoch_loss


def test_a_metric_that_is_not_defined_is_an_error_and_never_the_loss_instead() -> None:
    with pytest.raises(TrainError, match="labels of one class only"):
        _followed({"val_loss": 0.5, "train_loss": 0.4}, "roc_auc", "early_stopping")
    assert _followed({"val_loss": 0.5, "val_roc_auc": 0.7}, "roc_auc", "schedule") == 0.7


@pytest.mark.parametrize(
    ("losses", "weights", "expected"),
    [
        ([0.5, 0.9], [8.0, 8.0], 0.7),
        ([0.5, 0.9], [6.0, 2.0], 0.6),  # a short last step counts as much as it has rows
        ([0.5, 0.0], [4.0, 0.0], 0.5),  # a step of rows without weight counts nothing
    ],
)
def test_the_epochs_loss_is_the_mean_over_rows(
    losses: list[float], weights: list[float], expected: float
) -> None:
    assert epoch_loss(np.array(losses), np.array(weights)) == pytest.approx(expected, abs=1e-12)


def test_an_epoch_in_which_no_row_weighs_anything_is_refused() -> None:
    with pytest.raises(TrainError, match=r"sample weight 0.*label\.sample_weight"):
        epoch_loss(np.zeros(3), np.zeros(3))
