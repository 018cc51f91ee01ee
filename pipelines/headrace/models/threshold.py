"""Choose the decision threshold of a probability, on rows that the model was not trained on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headrace.errors import TrainError


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, with its metrics on the rows that it was chosen on."""

    threshold: float
    precision: float
    recall: float
    f1: float


def compute_threshold_curves(truth: np.ndarray, probability: np.ndarray) -> dict[str, np.ndarray]:
    """Compute precision, recall and F1 with every distinct probability as the threshold.

    Args:
        truth: 0 or 1, (rows,).
        probability: of label 1, (rows,).

    Returns:
        threshold, precision, recall, f1, each float64 (distinct probabilities,), by descending
        threshold.
    """
    order = np.argsort(-probability, kind="stable")
    descending, positive = probability[order].astype(np.float64), truth[order] > 0
    ends = np.append(np.flatnonzero(descending[1:] != descending[:-1]), len(descending) - 1)
    true_positives = np.cumsum(positive)[ends].astype(np.float64)
    predicted = ends + 1.0
    actual = float(positive.sum())
    recall = true_positives / actual if actual else np.zeros(len(true_positives))
    return {
        "threshold": descending[ends],
        "precision": true_positives / predicted,
        "recall": recall,
        "f1": 2 * true_positives / (predicted + actual),
    }


def choose_threshold(
    truth: np.ndarray,
    probability: np.ndarray,
    criterion: Literal["max_f1", "precision", "recall"],
    at_least: float = 0.0,
) -> OperatingPoint:
    """Choose the threshold by the recipe's criterion.

    Args:
        truth, probability: see `compute_threshold_curves`.
        criterion: `max_f1`; or `precision`, the highest recall with a precision of `at_least`; or
            `recall`, the highest precision with a recall of `at_least`.
        at_least: lower limit of that precision or recall.

    Raises:
        TrainError: there is no positive row, or no threshold reaches the limit.
    """
    if not len(truth) or not (truth > 0).any():
        raise TrainError(
            f"evaluate.threshold is to be chosen by {criterion}, but the validation split has no "
            "positive row; set split.fractions.validation higher, or evaluate.threshold to a number"
        )
    curves = compute_threshold_curves(truth, probability)
    if criterion == "max_f1":
        best = int(curves["f1"].argmax())
    else:
        maximized = "recall" if criterion == "precision" else "precision"
        reached = curves[criterion] >= at_least
        if not reached.any():
            raise TrainError(
                f"evaluate.threshold asks for a {criterion} of {at_least:g}, which no threshold "
                f"reaches on the validation split; the best is {curves[criterion].max():.4f}. "
                "Lower it, or use max_f1"
            )
        best = int(np.where(reached, curves[maximized], -1.0).argmax())
    # Half-way to the next lower probability, so that a probability that another machine rounds
    # differently stays on its side. Adjacent float32 numbers still have a middle in float64.
    chosen, below = curves["threshold"][best], curves["threshold"][best + 1 : best + 2]
    return OperatingPoint(
        threshold=float((chosen + below[0]) / 2) if len(below) else float(chosen) / 2,
        **{name: float(curves[name][best]) for name in ("precision", "recall", "f1")},
    )
