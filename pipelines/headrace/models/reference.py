"""Count how a model's predictions are distributed on rows that it was not trained on.

The distribution is stored with the model, so that later predictions can be compared with it.
"""

from collections.abc import Sequence

import numpy as np

from headrace.columns.histogram import NUMBER_BINS, HistogramAxis, split_full_bins
from headrace.columns.statistics import NumberSummary
from headrace.labels.spec import LabelSpec

PREDICTION = "prediction"
_SHOWN_CLASSES = 30


def make_prediction_axis(output: np.ndarray, label: LabelSpec) -> HistogramAxis:
    """Return the axis of the histogram of predictions.

    Args:
        output: predictions of some rows: probabilities (rows,) or (rows, classes), or numbers in
            the label's own unit (rows,).
        label: the fitted label.
    """
    if bins := label.definition.name_bins(label, _SHOWN_CLASSES):
        return HistogramAxis(PREDICTION, labels=bins)
    low, high = label.definition.find_prediction_range(output)
    summary = NumberSummary.from_numbers(output.astype(np.float64))
    shown = split_full_bins(np.linspace(low, high, NUMBER_BINS + 1), summary)
    edges = tuple(shown.tolist())
    return HistogramAxis(PREDICTION, edges, edges)


def count_predictions(
    axis: HistogramAxis, output: np.ndarray, label: LabelSpec, threshold: float
) -> Sequence[int]:
    """Count predictions in each bin, of each class, or of each of several labels.

    Args:
        axis: of `make_prediction_axis`.
        output, label: as there.
        threshold: from this probability on a row has one of several labels.
    """
    values = label.definition.bin_predictions(output, threshold)
    counts: list[int] = axis.count_values(values).tolist()
    return counts
