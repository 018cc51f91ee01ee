"""Train a two-tower model by pairs: each row's item against the items of all other rows.

The loss of a row is the cross-entropy of a softmax over the items of the whole global batch, of all
ranks. How often an item is among them depends on how often the train split has it, so that the
logarithm of that share is subtracted from its score (Yi et al. 2019, DOI 10.1145/3298689.3346996):
scores then estimate what a softmax over all items does. An item that is the row's own once more is
no negative of it, and padding rows are none of anybody's. Vectors are gathered over ranks in the
order of shards, so that a batch has the same negatives at any number of ranks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import TrainError
from headrace.models.items import Catalog, ItemColumns, merge_items
from headrace.models.two_tower import build_vectors_model
from headrace.recipe import sections as s
from headrace.stream.columns import Columns
from headrace.stream.split_stream import SplitStream
from headrace.transform.spec import TransformSpec

_EXCLUDED = -1e30  # logit of what is no negative: finite, so that a batch of padding has no NaN
_MERGE_ROWS = 2**20  # rows that are held before they are merged


@dataclass(frozen=True)
class RetrievalLoss:
    """The loss of a batch of pairs.

    Attributes:
        catalog: all items of the train split, and how often it has them.
        temperature: scores are products of vectors over it.
    """

    catalog: Catalog
    temperature: float

    def build_network(self, model: keras.Model) -> keras.Model:
        """Return the model of vectors that `compute_row_losses` takes the outputs of."""
        return build_vectors_model(model)

    def select_positives(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return 1 for rows of label 1 and 0 for others, float32 (batch,): only those are learnt.

        The items of others are among the candidates, as those of all rows are.
        """
        return tf.cast(batch["label"] > 0.5, tf.float32)

    def compute_row_losses(
        self,
        batch: Mapping[str, tf.Tensor],
        vectors: Sequence[tf.Tensor],
        collectives: Collectives,
    ) -> tf.Tensor:
        """Return the loss of each row of this rank, float32 (batch,).

        All ranks call this together, each with as many rows.

        Args:
            batch: this rank's part of a global batch.
            vectors: of the rows' queries and items, float32 (batch, width) each.
            collectives: the ranks.
        """
        queries, items = (tf.cast(vector, tf.float32) for vector in vectors)
        own_keys = self.catalog.columns.compute_key_tensor(batch)
        is_row = tf.cast(batch["weight"] > 0, tf.int32)
        all_items = gather_with_gradient(items, collectives)
        keys, is_item = collectives.allgather_rows([own_keys, is_row])
        rows = tf.shape(queries)[0]
        logits = tf.matmul(queries, all_items, transpose_b=True) / self.temperature
        logits -= self._look_up_log_shares(keys)[tf.newaxis, :]
        positions = collectives.rank * rows + tf.range(rows)
        is_own = tf.equal(tf.range(tf.size(keys))[tf.newaxis, :], positions[:, tf.newaxis])
        is_same = tf.equal(keys[tf.newaxis, :], own_keys[:, tf.newaxis])
        is_negative = tf.logical_and(is_item[tf.newaxis, :] > 0, tf.logical_not(is_same))
        logits = tf.where(tf.logical_or(is_own, is_negative), logits, _EXCLUDED)
        own_logits = tf.reduce_sum(tf.where(is_own, logits, 0.0), axis=1)
        return tf.reduce_logsumexp(logits, axis=1) - own_logits

    def _look_up_log_shares(self, keys: tf.Tensor) -> tf.Tensor:
        """Return the logarithm of each item's share of train rows; one row where it has none."""
        with tf.init_scope():  # outside of the graph that is being traced, which has a largest size
            known = tf.constant(self.catalog.keys)
            shares = tf.constant(self.catalog.log_shares)
        positions = tf.minimum(tf.searchsorted(known, keys), len(self.catalog) - 1)
        of_one_row = -np.log(float(self.catalog.counts.sum()))
        is_known = tf.equal(tf.gather(known, positions), keys)
        return tf.where(is_known, tf.gather(shares, positions), tf.constant(of_one_row, tf.float32))


def gather_with_gradient(rows: tf.Tensor, collectives: Collectives) -> tf.Tensor:
    """Return the rows of all ranks, by rank, through which gradients flow back to their ranks.

    Args:
        rows: float32 (n, width), as many on every rank.
        collectives: the ranks, which call this together.
    """
    if collectives.size == 1:
        return rows

    @tf.custom_gradient
    def gather(own: tf.Tensor) -> Any:
        (gathered,) = collectives.allgather_rows([own])

        def flow_back(upstream: tf.Tensor) -> tf.Tensor:
            (total,) = collectives.allreduce([upstream])
            count = tf.shape(own)[0]
            return total[collectives.rank * count : (collectives.rank + 1) * count]

        return gathered, flow_back

    gathered: tf.Tensor = gather(rows)
    return gathered


def read_catalog(
    section: s.TwoTower,
    spec: TransformSpec,
    open_train: Callable[[Columns], SplitStream],
    collectives: Collectives,
) -> Catalog:
    """Read the items of the train split: each rank its own rows, and then all of them together.

    Args:
        section: of the recipe; names the item's features.
        spec: the dataset's transform.
        open_train: returns this rank's stream of the train split with these columns.
        collectives: the ranks, which call this together.

    Raises:
        TrainError: two items have one key, or there is one item only.
    """
    columns = ItemColumns.from_features(section.item.features, spec)
    stream = open_train(Columns(columns.dataset_columns))
    stream = replace(stream, shuffle=False, drop_last=False, _plans={})  # every row counts
    batches = _take_rows(stream.read_batches(epoch=0), collectives)
    own = _merge_batches(columns, batches)
    counts = collectives.allgather(own.counts)
    items = {name: collectives.allgather(own.items[name]) for name in columns.columns}
    catalog = merge_items(columns, items, counts)
    if len(catalog) < 2:
        raise TrainError(
            f"model.kind two_tower tells items apart, and the train split has {len(catalog)}; "
            f"check model.item.features ({', '.join(section.item.features)})"
        )
    return catalog


def _take_rows(
    batches: Iterator[dict[str, np.ndarray]], collectives: Collectives
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the rows of batches without padding, with a heartbeat for each batch."""
    for batch in batches:
        collectives.heartbeat.beat()
        is_row = batch["weight"] > 0
        yield {name: array[is_row] for name, array in batch.items() if name != "weight"}


def _merge_batches(columns: ItemColumns, batches: Iterator[dict[str, np.ndarray]]) -> Catalog:
    """Return the items of batches; memory is that of the items, and not of the rows."""
    empty = {n: np.zeros((0, *i.shape), i.dtype) for n, i in columns.dataset_columns.items()}
    merged = merge_items(columns, empty, np.zeros(0, np.int64))
    parts: list[dict[str, np.ndarray]] = []
    held = 0

    def merge() -> Catalog:
        rows = {n: np.concatenate([merged.items[n], *(p[n] for p in parts)]) for n in empty}
        return merge_items(columns, rows, np.concatenate([merged.counts, np.ones(held, np.int64)]))

    for batch in batches:
        parts.append({name: batch[name].copy() for name in empty})
        held += len(parts[-1][next(iter(empty))])
        if held >= _MERGE_ROWS:
            merged, parts, held = merge(), [], 0
    return merge()


def make_validation_loss(
    loss: RetrievalLoss, model: keras.Model, collectives: Collectives
) -> Callable[[SplitStream], dict[str, float]]:
    """Return what measures the mean loss of a split, the same on every rank; nothing if none is
    positive.

    Batches are those of the split in its own order, of the training's size: a softmax over more
    items would have a higher loss. Every positive row has the same weight.

    Args:
        loss: of the training.
        model: that is trained.
        collectives: the ranks.
    """
    network = loss.build_network(model)
    names = [tensor.name for tensor in model.inputs]

    @tf.function(autograph=False, reduce_retracing=True)
    def sum_losses(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        vectors = network({name: batch[name] for name in names}, training=False)
        losses = loss.compute_row_losses(batch, vectors, collectives)
        is_positive = loss.select_positives(batch) * batch["weight"]
        return tf.reduce_sum(losses * is_positive), tf.reduce_sum(is_positive)

    def measure(stream: SplitStream) -> dict[str, float]:
        sums = np.zeros(2)
        for batch in stream.read_batches(epoch=0):
            collectives.heartbeat.beat()
            read = {name: tf.constant(batch[name]) for name in (*names, "label", "weight")}
            sums += np.array([float(part) for part in sum_losses(read)])
        total, positives = collectives.allgather(sums[np.newaxis]).sum(axis=0).tolist()
        return {"loss": total / positives} if positives else {}

    return measure
