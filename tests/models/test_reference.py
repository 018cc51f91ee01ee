"""Histograms of predictions by the label's kind."""

import numpy as np
import pytest

from headrace.labels.label_texts import NONE
from headrace.lake.drift import measure_number_drift
from headrace.models.reference import count_predictions, make_prediction_axis
from tests.models.specs import BINARY, CLASSES, LABELS, REGRESSION


def test_probabilities_are_counted_in_20_bins_from_0_to_1() -> None:
    output = np.linspace(0, 1, 100)
    axis = make_prediction_axis(output, BINARY)
    assert axis.edges == tuple(np.linspace(0, 1, 21).tolist())
    counts = np.array(count_predictions(axis, np.array([0.0, 0.01, 0.52, 0.99]), BINARY, 0.5))
    assert counts.sum() == 4
    assert counts.max() == 2


@pytest.mark.parametrize("rate", [0.3, 0.02, 0.001])
def test_predictions_that_halve_are_drift_however_rare_the_event(rate: float) -> None:
    """Probabilities of a rare event are all in the first of 20 bins."""
    rng = np.random.default_rng(3)
    output = rng.beta(2, 2 / rate - 2, 4000)
    axis = make_prediction_axis(output, BINARY)
    assert (axis.edges[0], axis.edges[-1]) == (0.0, 1.0)
    before, after, same = (
        np.array(count_predictions(axis, rows, BINARY, 0.5))
        for rows in (output, output / 2, rng.beta(2, 2 / rate - 2, 4000))
    )
    halved, unchanged = (measure_number_drift("p", before, now, 0.2) for now in (after, same))
    assert halved is not None and unchanged is not None
    assert (halved.has_drifted, unchanged.has_drifted) == (True, False)


def test_numbers_are_counted_between_their_outer_quantiles() -> None:
    output = np.arange(1001.0)
    axis = make_prediction_axis(output, REGRESSION)
    assert (axis.edges[0], axis.edges[-1]) == (5.0, 995.0)
    assert sum(count_predictions(axis, output, REGRESSION, 0.5)) == 1001  # outer ones as well


def test_classes_are_counted_by_the_most_probable_one() -> None:
    output = np.array([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2], [0.0, 0.1, 0.9]])
    axis = make_prediction_axis(output, CLASSES)
    assert axis.labels == ("low", "middle", "high", "other")
    assert list(count_predictions(axis, output, CLASSES, 0.5)) == [1, 0, 2, 0]


def test_several_labels_are_counted_from_the_threshold_on() -> None:
    output = np.array([[0.4, 0.9], [0.1, 0.2], [0.5, 0.4]])
    axis = make_prediction_axis(output, LABELS)
    assert axis.labels == (NONE, "wet", "windy", "other")
    assert list(count_predictions(axis, output, LABELS, 0.4)) == [1, 2, 2, 0]
