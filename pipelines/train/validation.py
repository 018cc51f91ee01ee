"""Metrics of the validation split after an epoch, exact over all ranks."""

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from pipelines.distributed.collectives import Collectives
from pipelines.models.build import OUTPUT
from pipelines.models.predict import predict_batches
from pipelines.stream.split_stream import SplitStream
from pipelines.train.losses import mean_loss
from pipelines.transform.spec import LabelSpec


def validate(
    model: keras.Model, stream: SplitStream, collectives: Collectives, label: LabelSpec
) -> dict[str, float]:
    """Metrics of a split, every row weighing the same, and the same on every rank."""
    found = predict_batches(model, stream.batches(epoch=0))
    return validation_metrics(
        collectives.gather(found["label"]), collectives.gather(found[OUTPUT[label.kind]]), label
    )


def validation_metrics(
    truth: np.ndarray, predicted: np.ndarray, label: LabelSpec
) -> dict[str, float]:
    """Metrics by the label's kind, in float64.

    Args:
        truth: (rows,), as the dataset has it.
        predicted: the model's output for these rows.
        label: kind and unit.

    Returns:
        binary: loss, accuracy (at probability 0.5), and roc_auc where both classes occur.
        classes: loss, accuracy. regression: loss (mean squared error, in the unit that is trained
        on) and mae in the label's own unit.
    """
    metrics = {"loss": mean_loss(label.kind, predicted, truth)}
    if label.kind == "regression":
        error = np.abs(predicted.astype(np.float64) - truth)
        metrics["mae"] = float(error.mean() * label.scale)
    elif label.kind == "classes":
        metrics["accuracy"] = float(np.mean(predicted.argmax(axis=1) == truth))
    else:
        metrics["accuracy"] = float(np.mean((predicted >= 0.5) == (truth > 0.5)))
        if 0 < truth.sum() < len(truth):
            metrics["roc_auc"] = float(roc_auc_score(truth, predicted))
    return metrics
