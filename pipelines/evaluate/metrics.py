"""Metrics of a binary classifier, exact, over all rows at once: scikit-learn's definitions."""

import numpy as np
from sklearn import metrics as sk

from pipelines.errors import ModelError


def binary_metrics(
    label: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, float]:
    """Metrics of predictions against labels.

    Args:
        label: 0 or 1, shape (rows,).
        probability: of label 1, shape (rows,), finite.
        threshold: a row counts as positive from this probability on.

    Returns:
        rows, positives, accuracy, precision, recall, f1, log_loss, the confusion matrix as
        true_negatives, false_positives, false_negatives, true_positives; and roc_auc and pr_auc
        (average precision) where both classes occur. Precision and recall are 0 where nothing
        was predicted or nothing was there.

    Raises:
        ModelError: a probability is not finite, or there is no row.
    """
    if not len(label):
        raise ModelError("there are no rows to evaluate on; the test split is empty")
    bad = int((~np.isfinite(probability)).sum())
    if bad:
        raise ModelError(
            f"{bad:,} of {len(label):,} predictions are not finite; no metric is defined on them. "
            "The model diverged, or a feature holds extreme values"
        )
    truth = label.astype(np.int64)
    predicted = (probability >= threshold).astype(np.int64)
    matrix = sk.confusion_matrix(truth, predicted, labels=[0, 1])
    (tn, fp), (fn, tp) = matrix.tolist()
    found = {
        "rows": float(len(truth)),
        "positives": float(truth.sum()),
        "accuracy": float(sk.accuracy_score(truth, predicted)),
        "precision": float(sk.precision_score(truth, predicted, zero_division=0)),
        "recall": float(sk.recall_score(truth, predicted, zero_division=0)),
        "f1": float(sk.f1_score(truth, predicted, zero_division=0)),
        "log_loss": float(sk.log_loss(truth, probability.astype(np.float64), labels=[0, 1])),
        "true_negatives": float(tn),
        "false_positives": float(fp),
        "false_negatives": float(fn),
        "true_positives": float(tp),
    }
    if 0 < truth.sum() < len(truth):
        found["roc_auc"] = float(sk.roc_auc_score(truth, probability))
        found["pr_auc"] = float(sk.average_precision_score(truth, probability))
    return found
