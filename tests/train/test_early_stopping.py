"""Early stopping over hand-written lists of values."""

import pytest

from headrace.recipe.sections import EarlyStopping
from headrace.train.early_stopping import BestEpoch


@pytest.mark.parametrize(
    ("metric", "patience", "values", "stopped_after", "best_epoch"),
    [
        ("roc_auc", 2, [0.5, 0.7, 0.6, 0.65, 0.9], 3, 1),
        ("roc_auc", 1, [0.5, 0.5], 1, 0),  # no improvement is no improvement
        ("loss", 2, [0.9, 0.8, 0.85, 0.7, 0.71, 0.72], 5, 3),
        ("loss", 3, [0.9, 0.8], None, 1),
        ("mae", 1, [3.0, 2.0, 2.5], 2, 1),
        ("accuracy", 1, [0.5, 0.6, 0.55], 2, 1),
    ],
)
def test_it_stops_and_remembers_the_best(
    metric: str, patience: int, values: list[float], stopped_after: int | None, best_epoch: int
) -> None:
    best = BestEpoch(EarlyStopping(metric=metric, patience=patience))
    stopped = None
    for epoch, value in enumerate(values):
        best.record_value(value, epoch)
        if best.should_stop(epoch):
            stopped = epoch
            break
    assert (stopped, best.epoch, best.best) == (stopped_after, best_epoch, values[best_epoch])


def test_without_settings_it_follows_the_loss_and_never_stops() -> None:
    best = BestEpoch(None)
    for epoch, loss in enumerate([0.5, 0.6, 0.7, 0.8]):
        best.record_value(loss, epoch)
        assert not best.should_stop(epoch)
    assert best.epoch == 0
