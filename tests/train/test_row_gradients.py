"""Sums of rows by id: every row counts once, and the order does not depend on the ranks."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.train.row_gradients import (
    RowGradient,
    _pack,
    _unpack,
    fill_up,
    merge_batches,
    sum_by_id,
    sum_within_shards,
)

SHARDS = 8


def draw_rows(rng: np.random.Generator, rows: int, ids: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ids, and rows whose sums depend on the order in which they are added."""
    scale = 10.0 ** rng.integers(-6, 6, (rows, 1))
    return (
        rng.integers(0, ids, rows).astype(np.int32),
        (rng.normal(size=(rows, 3)) * scale).astype(np.float32),
    )


def sum_on_ranks(ids: np.ndarray, rows: np.ndarray, ranks: int) -> tuple[np.ndarray, np.ndarray]:
    """Do what ranks do with their parts of a global batch: sum, gather, and sum again."""
    parts = [
        sum_within_shards(tf.constant(own_ids), tf.constant(own_rows), SHARDS // ranks)
        for own_ids, own_rows in zip(np.split(ids, ranks), np.split(rows, ranks), strict=True)
    ]
    if ranks > 1:
        parts = [fill_up(part) for part in parts]
    gathered = [tf.concat([getattr(part, name) for part in parts], 0) for name in ("ids", "rows")]
    summed_ids, summed_rows = sum_by_id(*gathered)
    return summed_ids.numpy(), summed_rows.numpy()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_any_number_of_ranks_makes_the_same_sums_bit_for_bit(
    seed: int, slice_rows: int, ids: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn_ids, rows = draw_rows(rng, SHARDS * slice_rows, ids)
    one_ids, one_rows = sum_on_ranks(drawn_ids, rows, 1)
    assert len(set(one_ids.tolist())) == len(one_ids)
    assert set(one_ids.tolist()) == set(drawn_ids.tolist())
    for number, summed in zip(one_ids, one_rows, strict=True):
        own = rows[drawn_ids == number].astype(np.float64)
        np.testing.assert_allclose(summed, own.sum(0), atol=1e-6 * np.abs(own).sum(), rtol=0)
    for ranks in (2, 4, 8):
        other_ids, other_rows = sum_on_ranks(drawn_ids, rows, ranks)
        np.testing.assert_array_equal(other_ids, one_ids)
        np.testing.assert_array_equal(other_rows.view(np.int32), one_rows.view(np.int32))


def test_the_order_of_ranks_would_matter_without_shards() -> None:
    """What the test above holds fast: sums of whole parts differ with the number of parts."""
    ids, rows = draw_rows(np.random.default_rng(0), 64, 2)
    sums = set()
    for ranks in (1, 2, 4):
        parts = [
            sum_within_shards(tf.constant(i), tf.constant(r), 1)
            for i, r in zip(np.split(ids, ranks), np.split(rows, ranks), strict=True)
        ]
        order = [np.argsort(part.ids.numpy()) for part in parts]
        total = np.sum(
            [part.rows.numpy()[o] for part, o in zip(parts, order, strict=True)],
            axis=0,
            dtype=np.float32,
        )
        sums.add(total.tobytes())
    assert len(sums) > 1


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_batches_of_an_update_are_merged_alike_on_any_number_of_ranks(
    seed: int, batches: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = [draw_rows(rng, SHARDS * 4, 10) for _ in range(batches)]
    results = []
    for ranks in (1, 2, 4):
        shards = SHARDS // ranks
        merged = []
        for rank in range(ranks):
            own = [
                sum_within_shards(
                    tf.constant(np.split(ids, ranks)[rank]),
                    tf.constant(np.split(rows, ranks)[rank]),
                    shards,
                )
                for ids, rows in drawn
            ]
            appended = RowGradient(*(tf.concat(parts, 0) for parts in zip(*own, strict=True)))
            merged.append(merge_batches(appended, shards))
        ids, rows = sum_by_id(
            tf.concat([part.ids for part in merged], 0),
            tf.concat([part.rows for part in merged], 0),
        )
        results.append((ids.numpy().tolist(), rows.numpy().tobytes()))
    assert results[0] == results[1] == results[2]
    for number, row in zip(
        *sum_by_id(*(np.concatenate(p) for p in zip(*drawn, strict=True))), strict=True
    ):
        position = results[0][0].index(int(number))
        summed = np.frombuffer(results[0][1], np.float32).reshape(-1, 3)[position]
        np.testing.assert_allclose(summed, row, rtol=1e-3, atol=1e-3)


def test_threads_do_not_change_the_order() -> None:
    """Sums of many rows of one id are the same bits each time, whatever computes them."""
    ids, rows = draw_rows(np.random.default_rng(1), 80_000, 50)
    sums = {sum_by_id(tf.constant(ids), tf.constant(rows))[1].numpy().tobytes() for _ in range(10)}
    assert len(sums) == 1
    # one after the other, in the order of the rows
    first = ids[0]
    total = np.zeros(3, np.float32)
    for row in rows[ids == first]:
        total += row
    np.testing.assert_array_equal(np.frombuffer(sums.pop(), np.float32)[:3], total)


@pytest.mark.parametrize(
    ("rows", "filled_up"),
    [
        (1, 1),
        (7, 7),
        (15, 15),
        (16, 16),
        (17, 18),
        (33, 36),
        (1000, 1024),
        (1025, 1152),
        (1900, 1920),
    ],
)
def test_few_numbers_of_rows_are_sent(rows: int, filled_up: int) -> None:
    ids, values = draw_rows(np.random.default_rng(0), rows, 10**6)
    gradient = RowGradient(tf.constant(ids), tf.constant(values), tf.zeros(rows, tf.int32))
    result = fill_up(gradient)
    assert {len(part) for part in result} == {filled_up}
    np.testing.assert_array_equal(result.ids[:rows], ids)
    np.testing.assert_array_equal(result.rows[:rows], values)
    assert set(result.ids[rows:].numpy().tolist()) <= {int(ids[0])}
    assert not result.rows[rows:].numpy().any()


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.uint16])
def test_ids_travel_in_the_message_of_their_rows(dtype: tf.DType) -> None:
    """Every id that int32 has, those too whose bits are no number of floating point."""
    ids = np.array([0, 1, 2**31 - 1, 0x7F800001, 0x7FC00000, 0x7C01, 0x7FFF], np.int32)
    rows = tf.cast(tf.reshape(tf.range(len(ids) * 2), (-1, 2)), dtype)
    own_ids, own_rows = _unpack(tf.concat([_pack(tf.constant(ids), rows)] * 2, 0))
    np.testing.assert_array_equal(own_ids, np.tile(ids, 2))
    np.testing.assert_array_equal(own_rows, np.tile(rows, (2, 1)))
    empty_ids, empty_rows = _unpack(_pack(tf.zeros(0, tf.int32), rows[:0]))
    assert (empty_ids.shape, empty_rows.shape) == ((0,), (0, 2))
