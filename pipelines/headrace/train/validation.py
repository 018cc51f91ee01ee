"""Compute the metrics of the validation split after an epoch, over all ranks' rows.

Up to `evaluate.exact_rows` rows are gathered, to rank 0 alone. Of more, ranks add up integers:
their number does not grow with the rows, and neither does what a rank holds of others.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.gather_rows import CollectiveSums, gather_to_rank_0
from headrace.labels.sketch.means import choose_bins, sketch_area, sketch_means
from headrace.labels.spec import LabelSpec
from headrace.models.predict import Predictor
from headrace.recipe.evaluate_sections import EXACT_ROWS
from headrace.stream.batch_assembly import Batch
from headrace.stream.split_stream import SplitStream
from headrace.train.finite import count_bad_rows


def validate_split(
    predictor: Predictor,
    stream: SplitStream,
    collectives: Collectives,
    label: LabelSpec,
    exact_rows: int = EXACT_ROWS,
) -> dict[str, float]:
    """Compute the metrics of a split, the same on every rank; each row has the same weight.

    Args:
        predictor: of the model.
        stream: this rank's rows of the split.
        collectives: the ranks.
        label: kind and unit.
        exact_rows: see `Evaluate.exact_rows`.

    Returns:
        see `compute_validation_metrics`. Of more than `exact_rows` there is `roc_auc_bound` beside
        roc_auc: by how much the exact one may differ.
    """
    columns = predictor(_beat_per_batch(stream.read_batches(epoch=0), collectives))
    truth, predicted = columns["label"], columns[label.definition.output]
    sums = CollectiveSums(collectives)
    rows, bad = sums.add(np.array([len(truth), count_bad_rows(predicted)], np.int64)).tolist()
    if rows > exact_rows and not bad:
        means = label.definition.list_validation_means(truth, predicted, label)
        if means is not None:
            return _sketch_metrics(truth, predicted, label, means, sums, exact_rows)
    truth, predicted = (gather_to_rank_0(part, collectives) for part in (truth, predicted))
    metrics: dict[str, float] = {}
    if collectives.rank == 0:
        metrics = compute_validation_metrics(truth, predicted, label)
    received: dict[str, float] = collectives.broadcast_object(metrics)
    return received


def _sketch_metrics(
    truth: np.ndarray,
    predicted: np.ndarray,
    label: LabelSpec,
    means: Mapping[str, np.ndarray],
    ranks: CollectiveSums,
    exact_rows: int,
) -> dict[str, float]:
    """Return the metrics of all ranks' rows, of which no rank has more than its own."""
    kind = label.definition
    shown = {name: values for name, values in means.items() if name in label.validation_metrics}
    numbers = {"loss": label.compute_row_losses(predicted, truth), **shown}
    metrics = sketch_means(numbers, ranks)
    curve = kind.validation_curve
    if curve in label.validation_metrics:
        area = sketch_area(truth > 0.5, predicted, ranks, choose_bins(exact_rows))
        if not np.isnan(area.value):
            metrics |= {curve: area.value, f"{curve}_bound": area.bound}
    return metrics


def gather_predictions(
    predictor: Predictor, stream: SplitStream, collectives: Collectives, label: LabelSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return all ranks' labels, the model's output, and sample weights where rows have them.

    Labels are as in the dataset. Rank 0 gets all, and other ranks no rows.
    """
    columns = predictor(_beat_per_batch(stream.read_batches(epoch=0), collectives))
    truth, predicted = columns["label"], columns[label.definition.output]
    weight = columns.get("sample_weight")
    return (
        gather_to_rank_0(truth, collectives),
        gather_to_rank_0(predicted, collectives),
        None if weight is None else gather_to_rank_0(weight, collectives),
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
