"""Choose the probability from which a row counts as positive, on rows that were not trained on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from headrace.errors import TrainError


@dataclass(frozen=True)
class Operating:
    """A threshold and what it does on the rows that it was chosen on."""

    threshold: float
    precision: float
    recall: float
    f1: float


def thresholds(truth: np.ndarray, probability: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 at every distinct probability taken as the threshold.

    Args:
        truth: 0 or 1, (rows,).
        probability: of label 1, (rows,).

    Returns:
        threshold, precision, recall, f1, each float64 (distinct probabilities,), thresholds
        falling.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, positive = probability[order].astype(np.float64), truth[order] > 0
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    true = np.cumsum(positive)[ends].astype(np.float64)
    named = ends + 1.0
    there = float(positive.sum())
    recall = true / there if there else np.zeros(len(true))
    return {
        "threshold": ranked[ends],
        "precision": true / named,
        "recall": recall,
        "f1": 2 * true / (named + there),
    }


def choose_threshold(
    truth: np.ndarray,
    probability: np.ndarray,
    choose: Literal["max_f1", "precision", "recall"],
    at_least: float = 0.0,
) -> Operating:
    """The threshold that a recipe asks for.

    Args:
        truth, probability: see `thresholds`.
        choose: `max_f1`; or `precision`, the highest recall with at least this precision; or
            `recall`, the highest precision with at least this recall.
        at_least: what it is to reach.

    Raises:
        TrainError: there is no positive row, or no threshold reaches it.
    """
    if not len(truth) or not (truth > 0).any():
        raise TrainError(
            f"evaluate.threshold is to be chosen ({choose}) and the validation split has no "
            "positive row; give split.fractions.validation more room, or a number"
        )
    found = thresholds(truth, probability)
    if choose == "max_f1":
        best = int(found["f1"].argmax())
    else:
        other = "recall" if choose == "precision" else "precision"
        reached = found[choose] >= at_least
        if not reached.any():
            raise TrainError(
                f"evaluate.threshold asks for a {choose} of {at_least:g} and no threshold reaches "
                f"it on the validation split; the best is {found[choose].max():.4f}. Lower it, or "
                "use max_f1"
            )
        best = int(np.where(reached, found[other], -1.0).argmax())
    # Half-way to the next lower probability: what is rounded otherwise elsewhere stays on its side.
    # Neighbours among float32 numbers have a middle in float64 all the same.
    chosen, below = found["threshold"][best], found["threshold"][best + 1 : best + 2]
    return Operating(
        threshold=float((chosen + below[0]) / 2) if len(below) else float(chosen) / 2,
        **{name: float(found[name][best]) for name in ("precision", "recall", "f1")},
    )
