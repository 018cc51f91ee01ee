"""Score rows with several labels, each by itself true or not: all labels together, and each one.

Taken together they are also one binary label of rows times labels, from which micro averages,
curves, thresholds and calibration are computed. Definitions are scikit-learn's; results are equal
to it within 1e-9 (`tests/labels/test_multi_label_scorer.py`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from headrace.labels.calibration import CalibrationError
from headrace.labels.curves import SortedScores, compute_average_precision, compute_roc_auc
from headrace.labels.scoring import (
    EPSILON,
    MAX_CURVE_CELLS,
    check_predictions,
    count_rows,
    measure_hits,
)

_MAX_SHOWN_CELLS = 5_000_000  # rows times labels of which curves and tables are made


class MultiLabelScorer:
    """A scorer of rows with several labels."""

    def __init__(self, label: np.ndarray, probabilities: np.ndarray, threshold: float) -> None:
        """Compute once what does not depend on weights.

        Args:
            label: 0 or 1, shape (rows, labels).
            probabilities: of 1, of the same shape, finite.
            threshold: a row has a label from this probability on.

        Raises:
            ModelError: a probability is not finite, or there is no row.
        """
        check_predictions(label, probabilities)
        self.rows, self._labels = label.shape
        self._truth = label > 0.5
        exact = probabilities.astype(np.float64)
        self._predicted = exact >= threshold  # in float64, as the registered model compares
        correct = self._predicted == self._truth
        self._exact_match = correct.all(axis=1)
        self._hamming_loss = (~correct).mean(axis=1)
        clipped = np.clip(exact, EPSILON, 1 - EPSILON)
        self._log_loss = -np.log(np.where(self._truth, clipped, 1 - clipped)).mean(axis=1)
        self._brier = ((exact - self._truth) ** 2).mean(axis=1)
        self._calibration = CalibrationError(exact.reshape(-1), self._truth.reshape(-1))
        # Curves take many times the memory of the predictions.
        has_curves = exact.size <= MAX_CURVE_CELLS
        self._all_scores = (
            SortedScores.from_rows(*flatten_labels(label, probabilities)) if has_curves else None
        )
        self._scores_by_label = [
            SortedScores.from_rows(self._truth[:, i], probabilities[:, i])
            for i in range(self._labels if has_curves else 0)
        ]

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights, float64 (rows,).

        Returns:
            exact_match (rows whose labels are all right), hamming_loss (share of decisions that are
            wrong); precision, recall and f1 ending in _macro (mean over labels), _micro (of all
            decisions together) and _weighted (by rows with the label), 0 where nothing was
            predicted or nothing is positive; log_loss, brier (means over labels),
            calibration_error (of all decisions); roc_auc and pr_auc ending in _micro, and in
            _macro: the mean over labels that some rows with weight have and some have not.
        """
        total = weight.sum()
        hits, predicted, actual = self._count_labels(weight)
        sums = (hits.sum(), predicted.sum(), actual.sum())
        metrics = {
            "exact_match": float(weight @ self._exact_match / total),
            "hamming_loss": float(weight @ self._hamming_loss / total),
        }
        by_label = measure_hits(hits, predicted, actual)
        micro = measure_hits(*(np.array([n]) for n in sums))
        names = ("precision", "recall", "f1")
        for name, values, micro_value in zip(names, by_label, micro, strict=True):
            metrics[f"{name}_macro"] = float(values.mean())
            metrics[f"{name}_micro"] = float(micro_value[0])
            metrics[f"{name}_weighted"] = float(values @ actual / sums[2]) if sums[2] else 0.0
        metrics["log_loss"] = float(weight @ self._log_loss / total)
        metrics["brier"] = float(weight @ self._brier / total)
        repeated = np.repeat(weight, self._labels)
        metrics["calibration_error"] = self._calibration.measure_error(repeated)
        areas = self._measure_areas(weight)
        if areas:
            metrics["roc_auc_macro"], metrics["pr_auc_macro"] = (
                float(np.mean([pair[i] for pair in areas.values()])) for i in (0, 1)
            )
        if self._all_scores:
            true, false = self._all_scores.sum_positive_weights(repeated)
            if true[-1] > 0 and false[-1] > 0:
                metrics["roc_auc_micro"] = compute_roc_auc(true, false)
                metrics["pr_auc_micro"] = compute_average_precision(true, false)
        return metrics

    def _measure_areas(self, weight: np.ndarray) -> dict[int, tuple[float, float]]:
        """Return areas under the ROC and the precision-recall curve by position of the label."""
        areas = {}
        for position, scores in enumerate(self._scores_by_label):
            true, false = scores.sum_positive_weights(weight)
            if true[-1] > 0 and false[-1] > 0:
                areas[position] = (
                    compute_roc_auc(true, false),
                    compute_average_precision(true, false),
                )
        return areas

    def count_outcomes(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return the number of rows, and the weight of the labels that they have."""
        counts, weights = count_rows(self.rows, weight)
        return {**counts, "positives": float((weights @ self._truth).sum())}

    def describe_labels(
        self, weight: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, float | str]]:
        """Return the metrics of each label, the worst F1 first.

        Args:
            weight: float64 (rows,).
            names: of the labels.
        """
        hits, predicted, actual = self._count_labels(weight)
        areas, is_weighted = self._measure_areas(weight), bool((weight != 1).any())
        columns = dict(
            zip(("precision", "recall", "f1"), measure_hits(hits, predicted, actual), strict=True)
        )
        table: list[dict[str, float | str]] = []
        for position, name in enumerate(names):
            row: dict[str, float | str] = {
                "label": name,
                "rows": float(self._truth[:, position].sum()),
                **({"weight": float(actual[position])} if is_weighted else {}),
                **{key: float(values[position]) for key, values in columns.items()},
            }
            if position in areas:
                row["roc_auc"], row["pr_auc"] = areas[position]
            table.append(row)
        return sorted(table, key=lambda row: (row["f1"], row["label"]))

    def _count_labels(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return, by label, the weight of its hits, its predictions and the rows that have it."""
        return (
            weight @ (self._predicted & self._truth),
            weight @ self._predicted,
            weight @ self._truth,
        )


def flatten_labels(label: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (0 or 1) and probabilities as those of one binary label, (rows * labels,)."""
    return label.reshape(-1).astype(np.int64), probabilities.reshape(-1)


def choose_row_step(label: np.ndarray) -> int:
    """Return the step at which `flatten_rows` samples rows: 1 takes all, 2 every second one."""
    return -(-label.size // _MAX_SHOWN_CELLS)


def flatten_rows(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `label` and `probability` of gathered rows as those of one binary label.

    Of very many rows only every second or third is taken, and so on: the result is for plots and
    tables that people look at.
    """
    step = choose_row_step(rows["label"])
    label, probability = flatten_labels(rows["label"][::step], rows["probabilities"][::step])
    return {"label": label, "probability": probability}
