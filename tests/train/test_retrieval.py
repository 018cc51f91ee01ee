"""The loss of a batch of pairs against bare loops; items of a split; negatives of several ranks."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives, SoloCollectives
from headrace.errors import TrainError
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.models.items import Catalog, ItemColumns, merge_items
from headrace.recipe import sections as s
from headrace.stream.columns import Columns, build_feature_columns
from headrace.stream.split_stream import SplitStream
from headrace.train.retrieval import (
    RetrievalLoss,
    gather_with_gradient,
    make_validation_loss,
    read_catalog,
)
from tests.evaluate.references.tables import make_spec as make_table_spec
from tests.evaluate.references.tables import publish_table
from tests.models.specs import HASH, WORD, make_spec
from tests.train.ranks_on_threads import run_on_threads

SPEC = make_spec(WORD, HASH)
COLUMNS = ItemColumns.from_features(["h"], SPEC)
COUNTS = {1: 50, 2: 30, 3: 15, 4: 5}
ITEMS = [
    1,
    2,
    1,
    3,
    4,
    1,
    2,
    7,
]  # of the rows; 1 and 2 are there again, 7 is not in the train split
ROWS = len(ITEMS)
RANDOM = np.random.default_rng(3)
QUERY, ITEM = (RANDOM.normal(size=(ROWS, 3)).astype(np.float32) for _ in range(2))
TEMPERATURE = 0.5


def make_loss() -> RetrievalLoss:
    ids = np.array([[item] for item in COUNTS], np.int32)
    catalog = merge_items(COLUMNS, {"categorical": ids}, np.array([*COUNTS.values()]))
    return RetrievalLoss(catalog, TEMPERATURE)


def make_batch(rows: slice = slice(None), padding: int = 0) -> dict[str, tf.Tensor]:
    ids = np.stack([np.zeros(ROWS), ITEMS], 1).astype(np.int32)
    weight = np.ones(ROWS, np.float32)
    weight[ROWS - padding :] = 0
    batch = {"categorical": ids, "weight": weight, "label": np.arange(ROWS) % 2.0}
    return {name: tf.constant(array[rows], dtype=array.dtype) for name, array in batch.items()}


def compute_by_loop(padding: int = 0) -> list[float]:
    """The cross-entropy of each row's own item, written out."""
    losses = []
    total = sum(COUNTS.values())
    for row in range(ROWS):
        scores = []
        for other in range(ROWS):
            is_padding = other >= ROWS - padding
            if other != row and (is_padding or ITEMS[other] == ITEMS[row]):
                continue
            share = COUNTS.get(ITEMS[other], 1) / total
            score = float(QUERY[row] @ ITEM[other]) / TEMPERATURE - math.log(share)
            scores.append((score, other == row))
        (own,) = (score for score, is_own in scores if is_own)
        losses.append(math.log(sum(math.exp(score) for score, _ in scores)) - own)
    return losses


@pytest.mark.parametrize("padding", [0, 3])
def test_the_loss_is_a_softmax_over_the_other_rows_items(padding: int) -> None:
    loss = make_loss()
    batch = make_batch(padding=padding)
    vectors = [tf.constant(QUERY), tf.constant(ITEM)]
    losses = loss.compute_row_losses(batch, vectors, SoloCollectives()).numpy()
    rows = ROWS - padding
    np.testing.assert_allclose(losses[:rows], compute_by_loop(padding)[:rows], rtol=1e-5, atol=1e-6)
    assert np.isfinite(losses).all()
    np.testing.assert_array_equal(loss.select_positives(batch), [0, 1] * 4)


def test_scores_that_are_popularity_alone_have_nothing_left_to_learn() -> None:
    """The correction takes away what a batch has of popular items: all candidates are equal."""
    shares = np.array([COUNTS.get(i, 1) / 100 for i in ITEMS], np.float32)
    query, item = np.full((ROWS, 1), TEMPERATURE, np.float32), np.log(shares)[:, np.newaxis]
    losses = make_loss().compute_row_losses(
        make_batch(), [tf.constant(query), tf.constant(item)], SoloCollectives()
    )
    candidates = [1 + sum(other != own for other in ITEMS) for own in ITEMS]
    np.testing.assert_allclose(losses, np.log(candidates), rtol=1e-5)


def compute_on_rank(collectives: Collectives) -> tuple[np.ndarray, list[np.ndarray]]:
    """Losses of this rank's rows, and the gradients of the sum over all ranks by its vectors."""
    share = ROWS // collectives.size
    rows = slice(collectives.rank * share, (collectives.rank + 1) * share)
    vectors = [tf.constant(QUERY[rows]), tf.constant(ITEM[rows])]
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        losses = make_loss().compute_row_losses(make_batch(rows, padding=1), vectors, collectives)
        objective = tf.reduce_sum(losses * make_batch(rows, padding=1)["weight"])
    return losses.numpy(), [np.array(g) for g in tape.gradient(objective, vectors)]


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_have_the_negatives_of_one_and_its_gradients(ranks: int) -> None:
    losses, gradients = compute_on_rank(SoloCollectives())
    parts = run_on_threads(ranks, compute_on_rank)
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), losses, rtol=1e-6)
    for number in range(2):
        found = np.concatenate([p[1][number] for p in parts])
        np.testing.assert_allclose(found, gradients[number], rtol=1e-5, atol=1e-6)
    assert np.abs(gradients[1]).max() > 0.01


def test_a_gradient_comes_from_every_rank() -> None:
    """The sum of all ranks' products with all rows: each row's gradient is the sum of factors."""

    def compute(collectives: Collectives) -> np.ndarray:
        own = tf.constant([[float(collectives.rank)], [10.0 + collectives.rank]])
        factors = tf.constant([[1.0], [2.0], [3.0], [4.0]]) * (1 + collectives.rank)
        with tf.GradientTape() as tape:
            tape.watch(own)
            total = tf.reduce_sum(gather_with_gradient(own, collectives) * factors)
        return np.array(tape.gradient(total, own))

    np.testing.assert_array_equal(run_on_threads(2, compute), [[[3], [6]], [[9], [12]]])


# --- the items of a split -------------------------------------------------------------------------
TABLE_SPEC = make_table_spec(LabelSpec(), 1, (6, 9))
SECTION = s.TwoTower.model_validate(
    {"kind": "two_tower", "query": {"features": ["n0"]}, "item": {"features": ["c0", "c1"]}}
)


def draw_split(rows: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "numeric": random.normal(size=(rows, 1)),
        "ids": np.stack([random.integers(0, 6, rows), random.integers(0, 3, rows)], 1),
        "label": np.arange(rows) % 2.0,
    }


def open_rank(dataset: Any, split: Any, columns: Columns, ranks: Collectives) -> SplitStream:
    return SplitStream.for_split(
        dataset, split, columns, rank=ranks.rank, size=ranks.size, global_batch_size=32,
        canonical_shards=4, shuffle=True, seed=1, drop_last=True,
    )  # fmt: skip


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_row_of_the_train_split_counts_once(ranks: int, tmp_path: Path) -> None:
    """Also those that the last, dropped batch would have; at any number of ranks."""
    split = draw_split(203, 1)
    dataset = publish_table(tmp_path / "d", TABLE_SPEC, {"train": split})

    def read(collectives: Collectives) -> Catalog:
        return read_catalog(
            SECTION,
            TABLE_SPEC,
            lambda columns: open_rank(dataset, "train", columns, collectives),
            collectives,
        )

    expected = Counter(map(tuple, split["ids"].tolist()))
    for catalog in run_on_threads(ranks, read):
        items = map(tuple, catalog.items["categorical"].tolist())
        assert dict(zip(items, catalog.counts.tolist(), strict=True)) == expected


def test_a_single_item_is_refused(tmp_path: Path) -> None:
    split = {**draw_split(40, 1), "ids": np.ones((40, 2), np.int64)}
    dataset = publish_table(tmp_path / "d", TABLE_SPEC, {"train": split})
    ranks = SoloCollectives()
    with pytest.raises(TrainError, match=r"the train split has 1; check .* \(c0, c1\)"):
        read_catalog(
            SECTION, TABLE_SPEC, lambda columns: open_rank(dataset, "train", columns, ranks), ranks
        )


def test_the_loss_of_a_split_is_the_mean_over_its_positive_rows(tmp_path: Path) -> None:
    """Of two batches, the second one padded."""
    split = draw_split(50, 2)
    dataset = publish_table(tmp_path / "d", TABLE_SPEC, {"train": split})
    ranks = SoloCollectives()
    model = build_model(SECTION, TABLE_SPEC)
    catalog = read_catalog(
        SECTION, TABLE_SPEC, lambda columns: open_rank(dataset, "train", columns, ranks), ranks
    )
    loss = RetrievalLoss(catalog, SECTION.temperature)
    stream = SplitStream.for_split(
        dataset, "train", build_feature_columns(TABLE_SPEC), rank=0, size=1, global_batch_size=32,
        canonical_shards=4, shuffle=False, seed=0,
    )  # fmt: skip
    network = loss.build_network(model)
    losses: list[float] = []
    for batch in stream.read_batches(0):
        vectors = network({name: batch[name] for name in TABLE_SPEC.inputs})
        by_row = loss.compute_row_losses(
            {n: tf.constant(a) for n, a in batch.items()}, vectors, ranks
        )
        losses += by_row.numpy()[(batch["weight"] > 0) & (batch["label"] > 0.5)].tolist()
    assert len(losses) == 25
    measured = make_validation_loss(loss, model, ranks)(stream)
    assert measured == {"loss": pytest.approx(np.mean(losses), rel=1e-5)}
