"""The plan, as properties over random layouts: exact, equal, the same at any number of ranks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import StreamError
from headrace.stream.plan import (
    Block,
    RowGroup,
    fitting_shards,
    plan_epoch,
    reading_order,
    shards_of_rank,
)

LAYOUTS = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=5), min_size=1, max_size=6)


def groups(layout: list[list[int]]) -> list[RowGroup]:
    return [RowGroup(f, i, rows) for f, file in enumerate(layout) for i, rows in enumerate(file)]


def rows_of(block: Block) -> list[tuple[int, int, int]]:
    return [(r.file, r.row_group, row) for r in block.ranges for row in range(r.start, r.stop)]


def options(**changes: object) -> dict:
    usual = {"canonical_shards": 4, "global_batch_size": 8, "block_rows": 10}
    return {**usual, "shuffle": True, "seed": 1, "epoch": 0, **changes}


@settings(max_examples=200, deadline=None)
@given(
    LAYOUTS,
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 5),
    st.integers(1, 60),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_row_once_in_equal_shards_and_steps(
    layout: list[list[int]], shards: int, width: int, block_rows: int, shuffle: bool, epoch: int
) -> None:
    total = sum(map(sum, layout))
    chosen = options(
        canonical_shards=shards,
        global_batch_size=shards * width,
        block_rows=block_rows,
        shuffle=shuffle,
        epoch=epoch,
    )
    if not total:
        with pytest.raises(StreamError, match="no rows"):
            plan_epoch(groups(layout), **chosen)
        return
    plan = plan_epoch(groups(layout), **chosen)
    every = [row for shard in plan.shards for block in shard for row in rows_of(block)]
    expected = [(g.file, g.index, row) for g in groups(layout) for row in range(g.rows)]
    assert sorted(every) == expected
    lengths = [plan.shard_rows(shard) for shard in range(shards)]
    assert max(lengths) - min(lengths) <= 1
    assert plan.steps * width >= max(lengths) > (plan.steps - 1) * width
    if not shuffle:
        assert every == expected


@settings(max_examples=100, deadline=None)
@given(LAYOUTS, st.integers(0, 10), st.integers(1, 4))
def test_reading_order_serves_every_step_just_in_time(
    layout: list[list[int]], skip: int, window: int
) -> None:
    if not sum(map(sum, layout)):
        return
    plan = plan_epoch(groups(layout), **options())
    skip = min(skip, plan.steps)
    queue = reading_order(plan, range(4), skip, window)
    there = dict.fromkeys(range(4), skip * plan.slice_rows)
    for step in range(skip, plan.steps, window):
        for shard in range(4):
            need = min((step + window) * plan.slice_rows, plan.shard_rows(shard))
            while there[shard] < need:  # what the next block brings must be what is needed next
                block = queue.pop(0)
                assert block.shard == shard
                there[shard] = block.first_row + block.rows
    assert queue == []


@settings(max_examples=200, deadline=None)
@given(LAYOUTS, st.sampled_from([1, 2, 4]), st.integers(1, 5), st.booleans())
def test_batches_are_full_and_dropped_rows_rotate(
    layout: list[list[int]], shards: int, width: int, shuffle: bool
) -> None:
    total, batch = sum(map(sum, layout)), shards * width
    chosen = options(
        canonical_shards=shards, global_batch_size=batch, shuffle=shuffle, drop_last=True
    )
    if total // shards < width:
        with pytest.raises(StreamError, match=r"no rows|do not fill a batch"):
            plan_epoch(groups(layout), **chosen)
        return
    every = {(g.file, g.index, row) for g in groups(layout) for row in range(g.rows)}
    missed = []
    for epoch in range(4):
        plan = plan_epoch(groups(layout), **{**chosen, "epoch": epoch})
        rows = [row for shard in plan.shards for block in shard for row in rows_of(block)]
        assert len(rows) == len(set(rows)) == plan.steps * batch == total - plan.dropped
        assert {plan.shard_rows(shard) for shard in range(shards)} == {plan.steps * width}
        missed.append(every - set(rows))
    if not shuffle and 2 * plan.dropped <= total and shards == 1:
        assert not missed[0] & missed[1]  # at two shards the ends of both rotate


def test_all_rows_come_in_some_epoch_where_rows_are_dropped() -> None:
    layout = groups([[10, 3], [7]])  # 20 rows, batches of 8: 4 are dropped
    chosen = options(canonical_shards=2, global_batch_size=8, drop_last=True, shuffle=False)
    missed = []
    for epoch in range(5):
        plan = plan_epoch(layout, **{**chosen, "epoch": epoch})
        assert plan.dropped == 4
        rows = {row for shard in plan.shards for block in shard for row in rows_of(block)}
        missed.append({(g.file, g.index, r) for g in layout for r in range(g.rows)} - rows)
    assert set.intersection(*missed) == set()
    assert len(set.union(*missed)) == 20


def test_order_depends_on_seed_and_epoch_alone() -> None:
    layout = groups([[10] * 8])
    plans = {
        (seed, epoch): plan_epoch(layout, **options(seed=seed, epoch=epoch))
        for seed in (1, 2)
        for epoch in (0, 1)
    }
    assert plans[1, 0] == plan_epoch(layout, **options(seed=1, epoch=0))
    assert len({repr(plan) for plan in plans.values()}) == 4


def test_blocks_are_permuted_with_seeds_of_their_own() -> None:
    plan = plan_epoch(groups([[10] * 16]), **options(block_rows=15))
    seeds = [block.permutation_seed for shard in plan.shards for block in shard]
    assert len(seeds) == 8
    assert len(set(seeds)) == 8
    first, second = (np.random.default_rng(seed).permutation(20).tolist() for seed in seeds[:2])
    assert first != second


@pytest.mark.parametrize(
    ("rank", "size", "expected"),
    [(0, 1, range(8)), (1, 2, range(4, 8)), (3, 4, range(6, 8)), (7, 8, range(7, 8))],
)
def test_ranks_own_neighbouring_shards(rank: int, size: int, expected: range) -> None:
    assert shards_of_rank(8, rank, size) == expected


def test_what_does_not_divide_is_refused() -> None:
    with pytest.raises(StreamError, match="3 ranks cannot share 8"):
        shards_of_rank(8, 0, 3)
    with pytest.raises(StreamError, match="do not divide a global batch of 9"):
        plan_epoch(groups([[5]]), **options(global_batch_size=9))


@pytest.mark.parametrize(
    ("rows", "batch", "shards"),
    [
        (10**9, 4096, 64),
        (64 * 4 * 16_384, 4096, 64),
        (64 * 4 * 16_384 - 1, 4096, 32),
        (2_000_000, 4096, 16),
        (100, 4096, 16),
        (0, 4096, 16),
        (10**9, 96, 32),  # they divide the batch
        (100, 100, 4),
        (10**9, 7, 1),
    ],
)
def test_small_data_have_fewer_shards(rows: int, batch: int, shards: int) -> None:
    assert fitting_shards(rows, batch, 16_384) == shards
