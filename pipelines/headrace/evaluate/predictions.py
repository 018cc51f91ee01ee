"""Predict a split on all ranks and bring the rows together, in an order that no rank decides."""

from collections.abc import Generator, Iterator
from itertools import islice

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.lake.data_file import SplitName
from headrace.lake.version import DatasetVersion
from headrace.models.build import OUTPUT
from headrace.models.predict import Predictor
from headrace.recipe import Recipe
from headrace.stream.batch_assembly import Batch
from headrace.stream.columns import baseline_columns, feature_columns, weight_columns
from headrace.stream.split_stream import SplitStream
from headrace.transform.multi_label import row_keys
from headrace.transform.spec import TransformSpec

Rows = dict[str, np.ndarray]
"""`label`, the model's output under its own name, `row_id`; `baseline` and `sample_weight` where
the dataset has them."""


def predicted_rows(
    dataset: DatasetVersion,
    spec: TransformSpec,
    predictor: Predictor,
    split: SplitName,
    recipe: Recipe,
    collectives: Collectives,
    most_rows: int | None = None,
) -> Rows:
    """Rows of a split, of all ranks, on every rank.

    What is gathered are predictions, not metrics: a rank's AUC says nothing about the whole. A row
    takes some 16 bytes and, of classes, 4 more a class, of several labels 8.

    Args:
        dataset, spec: whose split, and its transform.
        predictor: of the model.
        split: which one.
        recipe: stream and train.global_batch_size are read.
        collectives: the ranks.
        most_rows: about how many, from all over the split; all by default.
    """
    stream = _stream(dataset, spec, split, recipe, collectives)
    steps = None if most_rows is None else -(-most_rows // stream.global_batch_size)
    found = predictor(_first(stream, steps))
    return _in_order(
        {name: collectives.gather(array) for name, array in found.items()}, OUTPUT[spec.label.kind]
    )


def sampled_inputs(
    dataset: DatasetVersion,
    spec: TransformSpec,
    split: SplitName,
    recipe: Recipe,
    collectives: Collectives,
    rows: int,
) -> tuple[Rows, np.ndarray]:
    """The model's inputs of some rows from all over a split, and their labels, on every rank."""
    stream = _stream(dataset, spec, split, recipe, collectives)
    steps = -(-rows // stream.global_batch_size)
    kept: dict[str, list[np.ndarray]] = {}
    for batch in _first(stream, steps):
        there = batch["weight"] > 0
        for name in (*spec.inputs, "label", "row_id"):
            kept.setdefault(name, []).append(batch[name][there])
    gathered = {n: collectives.gather(np.concatenate(parts)) for n, parts in kept.items()}
    order = np.lexsort((*row_keys(gathered["label"]), gathered["row_id"]))[:rows]
    return {name: gathered[name][order] for name in spec.inputs}, gathered["label"][order]


def _stream(
    dataset: DatasetVersion,
    spec: TransformSpec,
    split: SplitName,
    recipe: Recipe,
    collectives: Collectives,
) -> SplitStream:
    beside = {"row_id": ("int64", "row_id"), **baseline_columns(spec), **weight_columns(spec)}
    return SplitStream.of(
        dataset,
        split,
        feature_columns(spec, beside),
        rank=collectives.rank,
        size=collectives.size,
        global_batch_size=recipe.train.global_batch_size,
        canonical_shards=recipe.stream.canonical_shards,
        shuffle=False,
        seed=0,
        readers=recipe.stream.readers,
        block_rows=recipe.stream.block_rows,
    )


def _first(stream: SplitStream, steps: int | None) -> Iterator[Batch]:
    """The first batches of the split; all where `steps` is None."""
    batches = stream.batches(epoch=0)
    yield from islice(batches, steps)
    if isinstance(batches, Generator):
        batches.close()


def _in_order(rows: Rows, output: str) -> Rows:
    """By identity; rows of one identity by what is known of them."""
    predicted = rows[output]
    first = predicted.max(axis=1) if predicted.ndim == 2 else predicted
    order = np.lexsort((first, *row_keys(rows["label"]), rows["row_id"]))
    return {name: array[order] for name, array in rows.items()}
