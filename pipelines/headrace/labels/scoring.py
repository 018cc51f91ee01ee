"""Compute what scorers of several kinds share: confusion matrices, averages, ROC AUC, checks.

Definitions are scikit-learn's, and scorers are equal to it within 1e-9 (the tests of each kind).
They are written here because a bootstrap computes them hundreds of times for the same rows with
other weights: what does not depend on weights (the order by score, the losses of rows) is computed
once, and a resampling then costs a few sums over the rows.
"""

import numpy as np

from headrace.errors import ModelError
from headrace.labels.kind import Direction

MAX_CURVE_CELLS = 50_000_000
"""Rows times classes up to which the ROC curve of each class is computed."""
EPSILON = float(np.finfo(np.float64).eps)

AVERAGES = tuple(
    f"{name}_{average}"
    for average in ("macro", "micro", "weighted")
    for name in ("precision", "recall", "f1")
)
"""Names of the averages over classes or labels."""
PROBABILITY_LOSSES = ("log_loss", "brier", "calibration_error")


def list_directions(
    higher: tuple[str, ...] = (), lower: tuple[str, ...] = ()
) -> dict[str, Direction]:
    """Return metric -> which way is better.

    Args:
        higher: metrics of which higher values are better.
        lower: metrics of which lower values are better.
    """
    return {**dict.fromkeys(higher, "higher"), **dict.fromkeys(lower, "lower")}


def count_rows(rows: int, weight: np.ndarray | None) -> tuple[dict[str, float], np.ndarray]:
    """Return `rows`, `weight` where they do not all weigh 1, and the weights.

    Args:
        rows: number of rows.
        weight: float64 (rows,); 1 each where it is None.
    """
    weights = np.ones(rows) if weight is None else weight
    counts = {"rows": float(rows)}
    if (weights != 1).any():
        counts["weight"] = float(weights.sum())
    return counts, weights


def count_confusion(
    truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray, classes: int
) -> np.ndarray:
    """Return the weighted confusion matrix, truth by prediction, float64 (classes, classes).

    Args:
        truth, predicted: class positions, int64 (rows,).
        weight: float64 (rows,).
        classes: number of classes.
    """
    cells = np.bincount(truth * classes + predicted, weight, classes * classes)
    return cells.reshape(classes, classes)


def find_occurring_classes(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return which classes occur among labels or predictions, bool (classes,)."""
    return np.bincount(truth, minlength=classes) + np.bincount(predicted, minlength=classes) > 0


def measure_classes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of every class, 0 where they are not defined.

    Args:
        matrix: of `count_confusion`.

    Returns:
        three arrays, float64 (classes,).
    """
    return measure_hits(matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1))


def measure_hits(
    hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of counts or weights, 0 where they are not defined.

    Args:
        hits, predicted, actual: true positives, all predicted and all actual positives, (labels,).
    """
    return (
        divide_or_zero(hits, predicted),
        divide_or_zero(hits, actual),
        divide_or_zero(2 * hits, predicted + actual),
    )


def average_classes(matrix: np.ndarray, occurring: np.ndarray) -> dict[str, float]:
    """Return the `AVERAGES` of a confusion matrix.

    Args:
        matrix: of `count_confusion`.
        occurring: of `find_occurring_classes`: macro averages are over these classes.
    """
    actual = matrix.sum(axis=1)
    total = actual.sum()
    averages: dict[str, float] = {}
    names = ("precision", "recall", "f1")
    for name, values in zip(names, measure_classes(matrix), strict=True):
        averages[f"{name}_macro"] = float(values[occurring].mean())
        # The same for all three, as every row has one label.
        averages[f"{name}_micro"] = float(matrix.trace() / total)
        averages[f"{name}_weighted"] = float(values @ actual / total)
    return averages


def divide_or_zero(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the ratio element by element, 0 where the denominator is 0."""
    zeros = np.zeros(len(denominator))
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)


def compute_roc_auc_by_ranks(truth: np.ndarray, score: np.ndarray) -> float:
    """Return how often a positive row has a higher score than a negative one; a tie counts half.

    Computed by ranks (Mann and Whitney 1947). scikit-learn's function looks for polars in each
    call, and fails while MLflow, in another thread, is importing it.

    Args:
        truth: 0 or 1, (rows,); both must occur.
        score: (rows,).
    """
    from scipy.stats import rankdata

    positive = truth > 0.5
    count = int(positive.sum())
    # SciPy 1.18 ranks float32 in float32, which is exact up to 16 million rows only.
    ranks = rankdata(score.astype(np.float64))[positive]
    pairs_won = ranks.sum() - count * (count + 1) / 2
    return float(pairs_won / (count * (len(truth) - count)))


def check_predictions(label: np.ndarray, predicted: np.ndarray) -> None:
    """Refuse to score no rows, or predictions that are not finite.

    Raises:
        ModelError: a prediction is not finite, or there is no row.
    """
    if not len(label):
        raise ModelError("there are no rows to evaluate on; the test split is empty")
    check_finite_rows(predicted)


def check_finite_rows(predicted: np.ndarray) -> None:
    """Refuse predictions that are not finite.

    Raises:
        ModelError: one is not.
    """
    finite = np.isfinite(predicted).all(axis=tuple(range(1, predicted.ndim)))
    count = int((~finite).sum())
    if count:
        raise ModelError(
            f"{count:,} of {len(predicted):,} predictions are not finite; no metric is defined on "
            "them. The model diverged, or a feature holds extreme values"
        )
