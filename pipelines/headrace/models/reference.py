"""What a network's output means, and how it is distributed on rows that it was not trained on.

The distribution is kept with the model, so that what it predicts later can be compared with it.
"""

from collections.abc import Sequence

import numpy as np

from headrace.lake.histogram import Axis
from headrace.transform.multi_label import NONE, counted_ids
from headrace.transform.spec import LabelSpec

PREDICTION = "prediction"
_BINS = 20
_SHOWN_CLASSES = 30


def in_own_unit(standardized: np.ndarray, label: LabelSpec) -> np.ndarray:
    """A regression's labels or predictions in the label's own unit, float64."""
    return standardized.astype(np.float64) * label.scale + label.center


def answers(output: np.ndarray, label: LabelSpec) -> np.ndarray:
    """The network's output as users get it: numbers in the label's own unit, probabilities."""
    return in_own_unit(output, label) if label.kind == "regression" else output


def prediction_axis(output: np.ndarray, label: LabelSpec) -> Axis:
    """What predictions are counted on.

    Args:
        output: the model's, of some rows: probabilities of a binary label (rows,), of classes or
            several labels (rows, classes), or numbers in the label's own unit (rows,).
        label: what it means.
    """
    if label.classes:
        first = (NONE,) if label.kind == "multi_label" else ()
        return Axis(PREDICTION, labels=(*first, *label.classes[:_SHOWN_CLASSES], "other"))
    low, high = 0.0, 1.0
    if label.kind == "regression":
        low, high = (float(q) for q in np.quantile(output, [0.005, 0.995]))
        if not high > low:
            margin = max(0.5, abs(low) * 1e-6)
            low, high = low - margin, low + margin
    edges = tuple(np.linspace(low, high, _BINS + 1).tolist())
    return Axis(PREDICTION, edges, edges)


def count_predictions(
    axis: Axis, output: np.ndarray, label: LabelSpec, threshold: float
) -> Sequence[int]:
    """Predictions in each bin, of each class, or of each of several labels.

    Args:
        axis: of `prediction_axis`.
        output, label: as there.
        threshold: from which a row has one of several labels.
    """
    if label.kind == "multi_label":
        values = counted_ids(output.astype(np.float64) >= threshold)
    else:
        values = output.argmax(axis=1) if label.kind == "classes" else output
    counts: list[int] = axis.count(values).tolist()
    return counts
