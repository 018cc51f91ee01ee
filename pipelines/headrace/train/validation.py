"""Metrics of the validation split after an epoch, exact over all ranks."""

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from headrace.distributed.rank.collectives import Collectives
from headrace.models.build import OUTPUT
from headrace.models.predict import Predictor
from headrace.stream.batch_assembly import Batch
from headrace.stream.split_stream import SplitStream
from headrace.train.losses import mean_loss
from headrace.transform.spec import LabelSpec


def validate(
    predictor: Predictor, stream: SplitStream, collectives: Collectives, label: LabelSpec
) -> dict[str, float]:
    """Metrics of a split, every row weighing the same, and the same on every rank."""
    return validation_metrics(*predicted_rows(predictor, stream, collectives, label), label)


def predicted_rows(
    predictor: Predictor, stream: SplitStream, collectives: Collectives, label: LabelSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Labels as the dataset has them and the model's output, of all ranks' rows, on every rank."""
    found = predictor(_beating(stream.batches(epoch=0), collectives))
    return collectives.gather(found["label"]), collectives.gather(found[OUTPUT[label.kind]])


def _beating(batches: Iterator[Batch], collectives: Collectives) -> Iterator[Batch]:
    """The same; each is a sign of life to the supervisor."""
    for batch in batches:
        collectives.pulse.beat()
        yield batch


def validation_metrics(
    truth: np.ndarray, predicted: np.ndarray, label: LabelSpec
) -> dict[str, float]:
    """Metrics by the label's kind, in float64.

    Args:
        truth: as the dataset has it.
        predicted: the model's output for these rows.
        label: kind and unit.

    Returns:
        binary: loss, accuracy (at probability 0.5), and roc_auc where both classes occur.
        classes: loss, accuracy. multi_label: loss, exact_match and f1_micro (at probability 0.5),
        and roc_auc_macro over the labels that some rows have and some have not. regression: loss
        (mean squared error, in the unit that is trained on) and mae in the label's own unit.
    """
    metrics = {"loss": mean_loss(label.kind, predicted, truth)}
    if label.kind == "regression":
        error = np.abs(predicted.astype(np.float64) - truth)
        metrics["mae"] = float(error.mean() * label.scale)
    elif label.kind == "multi_label":
        metrics |= _of_labels(truth > 0.5, predicted)
    elif label.kind == "classes":
        metrics["accuracy"] = float(np.mean(predicted.argmax(axis=1) == truth))
    else:
        metrics["accuracy"] = float(np.mean((predicted >= 0.5) == (truth > 0.5)))
        if 0 < truth.sum() < len(truth):
            metrics["roc_auc"] = roc_auc(truth, predicted)
    return metrics


def _of_labels(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Metrics of several labels, both (rows, labels)."""
    named = predicted >= 0.5
    count = int(truth.sum()) + int(named.sum())
    found = {
        "exact_match": float((named == truth).all(axis=1).mean()),
        "f1_micro": 2 * int((truth & named).sum()) / count if count else 0.0,
    }
    both = truth.any(axis=0) & ~truth.all(axis=0)
    areas = [roc_auc(truth[:, i], predicted[:, i]) for i in np.flatnonzero(both)]
    return found | ({"roc_auc_macro": float(np.mean(areas))} if areas else {})


def roc_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """How often a positive row has a higher score than a negative one; ties count a half.

    By ranks (Mann and Whitney). scikit-learn's looks for polars in each call, and fails while
    MLflow, in another thread, is importing it.
    """
    positive = truth > 0.5
    n = int(positive.sum())
    # SciPy 1.18 ranks float32 in float32, which ends at 16 million rows.
    above = rankdata(score.astype(np.float64))[positive].sum() - n * (n + 1) / 2
    return float(above / (n * (len(truth) - n)))
