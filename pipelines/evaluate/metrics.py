"""Metrics by the label's kind: scikit-learn's definitions over all rows at once, in float64."""

import numpy as np
from sklearn import metrics as sk

from pipelines.errors import ModelError
from pipelines.transform.spec import LabelSpec


def binary_metrics(
    label: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, float]:
    """Metrics of a binary classifier.

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
    _check(label, probability)
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


def classes_metrics(label: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Metrics of a classifier of several classes; the most probable class is the prediction.

    Args:
        label: class positions, shape (rows,).
        probabilities: shape (rows, classes), finite.

    Returns:
        rows, accuracy, log_loss, and precision_macro, recall_macro, f1_macro: means over the
        classes that occur among labels or predictions, where a class that was never predicted has
        precision 0 and one that was never there has recall 0.

    Raises:
        ModelError: a probability is not finite, or there is no row.
    """
    _check(label, probabilities)
    predicted = probabilities.argmax(axis=1)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)  # a float32 softmax adds up to 1 within 1e-6 only
    positions = range(probabilities.shape[1])
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        label, predicted, average="macro", zero_division=0
    )
    return {
        "rows": float(len(label)),
        "accuracy": float(sk.accuracy_score(label, predicted)),
        "precision_macro": float(precision),
        "recall_macro": float(recall),
        "f1_macro": float(f1),
        "log_loss": float(sk.log_loss(label, exact, labels=positions)),
    }


def regression_metrics(
    truth: np.ndarray, predicted: np.ndarray, baseline: np.ndarray | None = None
) -> dict[str, float]:
    """Metrics of a regression, all in the label's own unit (see `in_own_unit`).

    Args:
        truth, predicted: shape (rows,), float64.
        baseline: what one would predict without a model, shape (rows,).

    Returns:
        rows, mse, half_mse, rmse, mae, and r2 where the labels are not all the same. With a
        baseline: baseline_mae, baseline_rmse and, where the former is not 0, mae_over_baseline
        (below 1 the model is better).

    Raises:
        ModelError: a prediction is not finite, or there is no row.
    """
    _check(truth, predicted)
    mse = float(sk.mean_squared_error(truth, predicted))
    mae = float(sk.mean_absolute_error(truth, predicted))
    found = {
        "rows": float(len(truth)),
        "mse": mse,
        "half_mse": mse / 2,
        "rmse": float(np.sqrt(mse)),
        "mae": mae,
    }
    if np.ptp(truth) > 0:
        found["r2"] = float(sk.r2_score(truth, predicted))
    if baseline is not None:
        exact = baseline.astype(np.float64)
        found["baseline_mae"] = float(sk.mean_absolute_error(truth, exact))
        found["baseline_rmse"] = float(np.sqrt(sk.mean_squared_error(truth, exact)))
        if found["baseline_mae"] > 0:
            found["mae_over_baseline"] = mae / found["baseline_mae"]
    return found


def in_own_unit(standardized: np.ndarray, label: LabelSpec) -> np.ndarray:
    """A regression's labels or predictions in the label's own unit, float64."""
    return standardized.astype(np.float64) * label.scale + label.center


def _check(label: np.ndarray, predicted: np.ndarray) -> None:
    if not len(label):
        raise ModelError("there are no rows to evaluate on; the test split is empty")
    finite = np.isfinite(predicted.reshape(len(predicted), -1)).all(axis=1)
    bad = int((~finite).sum())
    if bad:
        raise ModelError(
            f"{bad:,} of {len(label):,} predictions are not finite; no metric is defined on them. "
            "The model diverged, or a feature holds extreme values"
        )
