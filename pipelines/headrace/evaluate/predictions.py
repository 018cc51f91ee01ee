"""Predict a split on all ranks and gather the rows on rank 0, in one order for any ranks."""

from collections.abc import Generator, Iterator
from itertools import islice

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.gather_rows import CollectiveSums, gather_to_rank_0
from headrace.labels.label_texts import make_sort_keys
from headrace.labels.sketch.row_sketch import assign_groups
from headrace.lake.data_file import SplitName
from headrace.lake.version import DatasetVersion
from headrace.models.predict import Predictor
from headrace.recipe import Recipe
from headrace.stream.batch_assembly import Batch
from headrace.stream.columns import (
    build_feature_columns,
    list_baseline_columns,
    list_weight_columns,
)
from headrace.stream.split_stream import SplitStream
from headrace.transform.spec import TransformSpec

PredictedRows = dict[str, np.ndarray]
"""`label`, the model's output under its own name, `row_id`, POSITION; `baseline` and
`sample_weight` where the dataset has them."""

POSITION = "row position"
"""Position of a row in the canonical order of its split; no feature has a name with a space."""


def predict_rows(
    dataset: DatasetVersion,
    spec: TransformSpec,
    predictor: Predictor,
    split: SplitName,
    recipe: Recipe,
    collectives: Collectives,
    max_rows: int | None = None,
) -> PredictedRows:
    """Predict the rows of a split on all ranks and return them all on rank 0, none elsewhere.

    A row takes about 16 bytes, plus 4 per class, or 8 per label of several.

    Args:
        dataset, spec: a dataset and its transform.
        predictor: of the model.
        split: to predict.
        recipe: stream and train.global_batch_size are read.
        collectives: of the ranks.
        max_rows: about how many rows to predict, from all over the split; all rows by default.

    Returns:
        the rows, sorted by identity.
    """
    own_rows = predict_own_rows(dataset, spec, predictor, split, recipe, collectives, max_rows)
    return gather_rows(own_rows, spec, collectives)


def predict_own_rows(
    dataset: DatasetVersion,
    spec: TransformSpec,
    predictor: Predictor,
    split: SplitName,
    recipe: Recipe,
    collectives: Collectives,
    max_rows: int | None = None,
) -> PredictedRows:
    """Predict this rank's rows of a split; see `predict_rows`."""
    stream = _open_stream(dataset, spec, split, recipe, collectives)
    steps = None if max_rows is None else -(-max_rows // stream.global_batch_size)
    return predictor(
        {**batch, POSITION: stream.locate_rows(step)}
        for step, batch in enumerate(_take_batches(stream, steps))
    )


def gather_rows(
    own_rows: PredictedRows, spec: TransformSpec, collectives: Collectives, most: int | None = None
) -> PredictedRows:
    """Gather all ranks' rows to rank 0, sorted by identity.

    Args:
        own_rows: of `predict_own_rows`.
        spec: of the dataset.
        collectives: of the ranks.
        most: about how many rows to take, chosen by identity; all by default.
    """
    if most is not None:
        (rows,) = CollectiveSums(collectives).add(np.array([len(own_rows["label"])], np.int64))
        parts = 2**20
        is_taken = assign_groups(own_rows["row_id"], parts) * int(rows) < most * parts
        own_rows = {name: array[is_taken] for name, array in own_rows.items()}
    gathered = {name: gather_to_rank_0(array, collectives) for name, array in own_rows.items()}
    return _sort_rows(gathered, spec.label.definition.output)


def sample_inputs(
    dataset: DatasetVersion,
    spec: TransformSpec,
    split: SplitName,
    recipe: Recipe,
    collectives: Collectives,
    rows: int,
) -> tuple[PredictedRows, PredictedRows]:
    """Return the model's inputs of some rows from all over a split, and what is known of them.

    Args:
        dataset, spec: a dataset and its transform.
        split: to read.
        recipe: stream and train.global_batch_size are read.
        collectives: of the ranks; every rank gets the same rows.
        rows: most rows to return.

    Returns:
        the inputs by name; and `label`, `row_id`, and `sample_weight` where the dataset has it.
    """
    stream = _open_stream(dataset, spec, split, recipe, collectives)
    steps = -(-rows // stream.global_batch_size)
    own_rows: dict[str, list[np.ndarray]] = {}
    known = ("label", "row_id", *list_weight_columns(spec))
    for batch in _take_batches(stream, steps):
        is_row = batch["weight"] > 0  # and no padding
        for name in (*spec.inputs, *known):
            own_rows.setdefault(name, []).append(batch[name][is_row])
    gathered = {n: collectives.allgather(np.concatenate(parts)) for n, parts in own_rows.items()}
    order = np.lexsort((*make_sort_keys(gathered["label"]), gathered["row_id"]))[:rows]
    inputs, facts = ({n: gathered[n][order] for n in names} for names in (spec.inputs, known))
    return inputs, facts


def _open_stream(
    dataset: DatasetVersion,
    spec: TransformSpec,
    split: SplitName,
    recipe: Recipe,
    collectives: Collectives,
) -> SplitStream:
    extra_columns = {
        "row_id": ("int64", "row_id"),
        **list_baseline_columns(spec),
        **list_weight_columns(spec),
    }
    return SplitStream.for_split(
        dataset,
        split,
        build_feature_columns(spec, extra_columns),
        rank=collectives.rank,
        size=collectives.size,
        global_batch_size=recipe.train.global_batch_size,
        canonical_shards=recipe.stream.canonical_shards,
        shuffle=False,
        seed=0,
        readers=recipe.stream.readers,
        block_rows=recipe.stream.block_rows,
        memory=recipe.stream.memory,
        engine=recipe.stream.engine,
    )


def _take_batches(stream: SplitStream, steps: int | None) -> Iterator[Batch]:
    """Yield the first batches of the split; all where `steps` is None."""
    batches = stream.read_batches(epoch=0)
    yield from islice(batches, steps)
    if isinstance(batches, Generator):
        batches.close()


def _sort_rows(rows: PredictedRows, output: str) -> PredictedRows:
    """Sort rows by identity; those of one identity by label, then by prediction."""
    predicted = rows[output]
    last_key = predicted.max(axis=1) if predicted.ndim == 2 else predicted
    order = np.lexsort((last_key, *make_sort_keys(rows["label"]), rows["row_id"]))
    return {name: array[order] for name, array in rows.items()}
