"""Several labels a row: their metrics, together and of each.

Together they are also one binary label of rows times labels, which is how micro averages, curves,
thresholds and calibration are made. Definitions are scikit-learn's; equal to it within 1e-9
(`tests/evaluate/test_labels.py`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from headrace.evaluate.calibration import Calibration
from headrace.evaluate.curves import Ranked, average_precision, roc_auc

_SHOWN_CELLS = 5_000_000  # rows times labels of which curves and tables are made
CURVE_CELLS = 50_000_000
"""Rows times classes up to which each class gets a ROC curve."""
EPSILON = float(np.finfo(np.float64).eps)


class LabelsScorer:
    """Of several labels, each by itself true or not."""

    def __init__(self, label: np.ndarray, probabilities: np.ndarray, threshold: float) -> None:
        """
        Args:
            label: 0 or 1, shape (rows, labels).
            probabilities: of 1, of the same shape, finite.
            threshold: a row has a label from this probability on.
        """
        self.rows, self._labels = label.shape
        self._truth = label > 0.5
        exact = probabilities.astype(np.float64)
        self._named = exact >= threshold  # in float64, as the registered model compares
        right = self._named == self._truth
        self._exact_match = right.all(axis=1)
        self._wrong = (~right).mean(axis=1)
        clipped = np.clip(exact, EPSILON, 1 - EPSILON)
        self._log_loss = -np.log(np.where(self._truth, clipped, 1 - clipped)).mean(axis=1)
        self._brier = ((exact - self._truth) ** 2).mean(axis=1)
        self._calibration = Calibration(exact.reshape(-1), self._truth.reshape(-1))
        # Their memory is many times that of the predictions.
        ranked = exact.size <= CURVE_CELLS
        self._together = Ranked.of(*together(label, probabilities)) if ranked else None
        self._each = [
            Ranked.of(self._truth[:, i], probabilities[:, i])
            for i in range(self._labels if ranked else 0)
        ]

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Metrics.

        Returns:
            exact_match (rows whose labels are all right), hamming_loss (share of decisions that are
            wrong); precision, recall and f1 ending in _macro (mean over labels), _micro (of all
            decisions together) and _weighted (by rows with the label), 0 where nothing was named or
            nothing was there; log_loss, brier (means over labels), calibration_error (of all
            decisions); roc_auc and pr_auc ending in _micro, and in _macro: the mean over labels
            that some rows with weight have and some have not.
        """
        total = weight.sum()
        hits, named, there = self._counted(weight)
        whole = (hits.sum(), named.sum(), there.sum())
        found = {
            "exact_match": float(weight @ self._exact_match / total),
            "hamming_loss": float(weight @ self._wrong / total),
        }
        each, micro = _of_each(hits, named, there), _of_each(*(np.array([n]) for n in whole))
        for name, values, one in zip(("precision", "recall", "f1"), each, micro, strict=True):
            found[f"{name}_macro"] = float(values.mean())
            found[f"{name}_micro"] = float(one[0])
            found[f"{name}_weighted"] = float(values @ there / whole[2]) if whole[2] else 0.0
        found["log_loss"] = float(weight @ self._log_loss / total)
        found["brier"] = float(weight @ self._brier / total)
        repeated = np.repeat(weight, self._labels)
        found["calibration_error"] = self._calibration.error(repeated)
        areas = self.areas(weight)
        if areas:
            found["roc_auc_macro"], found["pr_auc_macro"] = (
                float(np.mean([pair[i] for pair in areas.values()])) for i in (0, 1)
            )
        if self._together:
            counts = self._together.counts(repeated)
            if counts[0][-1] > 0 and counts[1][-1] > 0:
                found["roc_auc_micro"] = roc_auc(*counts)
                found["pr_auc_micro"] = average_precision(*counts)
        return found

    def areas(self, weight: np.ndarray) -> dict[int, tuple[float, float]]:
        """Areas under the ROC and the precision-recall curve by position of the label."""
        found = {}
        for position, ranked in enumerate(self._each):
            true, false = ranked.counts(weight)
            if true[-1] > 0 and false[-1] > 0:
                found[position] = roc_auc(true, false), average_precision(true, false)
        return found

    def counts(self) -> dict[str, float]:
        """Rows, and labels that they have, unweighted."""
        return {"rows": float(self.rows), "positives": float(self._truth.sum())}

    def of_labels(self, weight: np.ndarray, names: Sequence[str]) -> list[dict[str, float | str]]:
        """What is known of each label, the worst F1 first.

        Args:
            weight: float64 (rows,).
            names: of the labels.
        """
        hits, named, there = self._counted(weight)
        areas = self.areas(weight)
        columns = dict(
            zip(("precision", "recall", "f1"), _of_each(hits, named, there), strict=True)
        )
        table: list[dict[str, float | str]] = []
        for position, name in enumerate(names):
            row: dict[str, float | str] = {
                "label": name,
                "rows": float(self._truth[:, position].sum()),
                **{key: float(values[position]) for key, values in columns.items()},
            }
            if position in areas:
                row["roc_auc"], row["pr_auc"] = areas[position]
            table.append(row)
        return sorted(table, key=lambda row: (row["f1"], row["label"]))

    def _counted(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight of rows that are rightly named, named, and have the label, of each label."""
        return weight @ (self._named & self._truth), weight @ self._named, weight @ self._truth


def together(label: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (0 or 1) and probabilities of all rows and labels, as of one: (rows * labels,)."""
    return label.reshape(-1).astype(np.int64), probabilities.reshape(-1)


def step_of(label: np.ndarray) -> int:
    """Which of how many rows `rows_together` takes."""
    return -(-label.size // _SHOWN_CELLS)


def rows_together(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`label` and `probability` likewise, of rows as `predicting.Rows` has them.

    Of many rows every second one, or third and so on: what is made of these is to be looked at.
    """
    every = step_of(rows["label"])
    label, probability = together(rows["label"][::every], rows["probabilities"][::every])
    return {"label": label, "probability": probability}


def _of_each(
    hits: np.ndarray, named: np.ndarray, there: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1, 0 where they are not defined."""
    return ratio(hits, named), ratio(hits, there), ratio(2 * hits, named + there)


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Element by element, 0 where `below` is 0."""
    return np.divide(above, below, out=np.zeros(len(below)), where=below > 0)
