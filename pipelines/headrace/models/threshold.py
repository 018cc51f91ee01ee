"""Choose the decision threshold of a probability, on rows that the model was not trained on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headrace.errors import TrainError
from headrace.labels.scoring import divide_or_zero
from headrace.number_text import format_exact, format_number


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, with its metrics on the rows that it was chosen on."""

    threshold: float
    precision: float
    recall: float
    f1: float


def compute_threshold_curves(
    truth: np.ndarray, probability: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Compute precision, recall and F1 with every distinct probability as the threshold.

    Args:
        truth: 0 or 1, (rows,).
        probability: of label 1, (rows,).
        weight: of the rows, (rows,); 1 each by default.

    Returns:
        threshold, precision, recall, f1, each float64 (distinct probabilities,), by descending
        threshold.
    """
    if weight is not None:  # a row without weight is none
        truth, probability, weight = (values[weight > 0] for values in (truth, probability, weight))
    order = np.argsort(-probability, kind="stable")
    descending, positive = probability[order].astype(np.float64), truth[order] > 0
    ends = np.append(np.flatnonzero(descending[1:] != descending[:-1]), len(descending) - 1)
    weights = np.ones(len(order)) if weight is None else weight[order].astype(np.float64)
    true_positives = np.cumsum(np.where(positive, weights, 0.0))[ends]
    # The sum of both, so that a precision is 1 exactly where no row is wrong.
    predicted = true_positives + np.cumsum(np.where(positive, 0.0, weights))[ends]
    actual = true_positives[-1:]  # of the lowest threshold
    return {
        "threshold": descending[ends],
        "precision": divide_or_zero(true_positives, predicted),
        "recall": divide_or_zero(true_positives, np.broadcast_to(actual, len(ends))),
        "f1": divide_or_zero(2 * true_positives, predicted + actual),
    }


def choose_threshold(
    truth: np.ndarray,
    probability: np.ndarray,
    criterion: Literal["max_f1", "precision", "recall"],
    at_least: float = 0.0,
    weight: np.ndarray | None = None,
) -> OperatingPoint:
    """Choose the threshold by the recipe's criterion.

    Args:
        truth, probability, weight: see `compute_threshold_curves`.
        criterion: `max_f1`; or `precision`, the highest recall with a precision of `at_least`; or
            `recall`, the highest precision with a recall of `at_least`.
        at_least: lower limit of that precision or recall.

    Raises:
        TrainError: there is no positive row, or no threshold reaches the limit.
    """
    has_weight = np.ones(len(truth), bool) if weight is None else weight > 0
    if not (truth[has_weight] > 0).any():
        raise TrainError(
            f"evaluate.threshold is to be chosen by {criterion}, but the validation split has no "
            "positive row with weight; set split.fractions.validation higher, or "
            "evaluate.threshold to a number"
        )
    curves = compute_threshold_curves(truth, probability, weight)
    if criterion == "max_f1":
        best = int(curves["f1"].argmax())
    else:
        maximized = "recall" if criterion == "precision" else "precision"
        reached = curves[criterion] >= at_least
        if not reached.any():
            raise TrainError(
                f"evaluate.threshold asks for a {criterion} of {format_exact(at_least)}, which no "
                "threshold reaches on the validation split; the best is "
                f"{format_number(curves[criterion].max())}. Lower it, or use max_f1"
            )
        best = int(np.where(reached, curves[maximized], -1.0).argmax())
    # Half-way to the next lower probability, so that a probability that another machine rounds
    # differently stays on its side. Adjacent float32 numbers still have a middle in float64.
    chosen, below = curves["threshold"][best], curves["threshold"][best + 1 : best + 2]
    return OperatingPoint(
        threshold=float((chosen + below[0]) / 2) if len(below) else float(chosen) / 2,
        **{name: float(curves[name][best]) for name in ("precision", "recall", "f1")},
    )
