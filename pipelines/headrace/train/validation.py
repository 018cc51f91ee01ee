"""Compute the metrics of the validation split after an epoch, exact over all ranks."""

from collections.abc import Iterator

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.labels.spec import LabelSpec
from headrace.models.predict import Predictor
from headrace.stream.batch_assembly import Batch
from headrace.stream.split_stream import SplitStream
from headrace.train.finite import count_bad_rows


def validate_split(
    predictor: Predictor, stream: SplitStream, collectives: Collectives, label: LabelSpec
) -> dict[str, float]:
    """Compute the metrics of a split, the same on every rank; each row has the same weight.

    Args:
        predictor: of the model.
        stream: this rank's rows of the split.
        collectives: the ranks.
        label: kind and unit.
    """
    truth, predicted, _ = gather_predictions(predictor, stream, collectives, label)
    return compute_validation_metrics(truth, predicted, label)


def gather_predictions(
    predictor: Predictor, stream: SplitStream, collectives: Collectives, label: LabelSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return all ranks' labels, the model's output, and sample weights where rows have them.

    Labels are as in the dataset; every rank gets all.
    """
    columns = predictor(_beat_per_batch(stream.read_batches(epoch=0), collectives))
    truth, predicted = columns["label"], columns[label.definition.output]
    weight = columns.get("sample_weight")
    return (
        collectives.allgather(truth),
        collectives.allgather(predicted),
        None if weight is None else collectives.allgather(weight),
    )


def _beat_per_batch(batches: Iterator[Batch], collectives: Collectives) -> Iterator[Batch]:
    """Yield the same batches, with a heartbeat to the supervisor for each."""
    for batch in batches:
        collectives.heartbeat.beat()
        yield batch


def compute_validation_metrics(
    truth: np.ndarray, predicted: np.ndarray, label: LabelSpec
) -> dict[str, float]:
    """Return the loss and the metrics of the label's kind, in float64.

    Args:
        truth: labels as in the dataset.
        predicted: the model's output for these rows.
        label: kind and unit; see `LabelKind.validate_predictions`.

    Returns:
        a metric that is not defined on these rows (roc_auc of one class) is absent; where a
        prediction is not finite, all of them are NaN.
    """
    is_bad = count_bad_rows(predicted) > 0
    # Names of what is defined on this split: what is not must not look as if it were NaN.
    shown = np.zeros_like(predicted) if is_bad else predicted
    metrics = label.definition.validate_predictions(truth, shown, label)
    metrics = {name: value for name, value in metrics.items() if name in label.validation_metrics}
    if is_bad:
        return dict.fromkeys(("loss", *metrics), float("nan"))
    return {"loss": label.compute_mean_loss(predicted, truth), **metrics}
