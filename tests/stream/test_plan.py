"""The plan, as properties over random layouts: exact, equal, the same at any number of ranks."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import StreamError
from headrace.stream.plan import (
    Block,
    EpochPlan,
    assign_shards,
    choose_block_rows,
    choose_canonical_shards,
    count_steps,
    index_row_groups,
    order_blocks,
    plan_epoch,
)
from headrace.stream.row_ranges import RowGroup, RowRange

LAYOUTS = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=5), min_size=1, max_size=6)


def make_row_groups(layout: list[list[int]]) -> list[RowGroup]:
    return [RowGroup(f, i, rows) for f, file in enumerate(layout) for i, rows in enumerate(file)]


def list_rows(block: Block) -> list[tuple[int, int, int]]:
    return [(r.file, r.row_group, row) for r in block.ranges for row in range(r.start, r.stop)]


def make_options(**changes: object) -> dict:
    options = {"canonical_shards": 4, "global_batch_size": 8, "block_rows": 10}
    return {**options, "shuffle": True, "seed": 1, "epoch": 0, **changes}


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
    chosen = make_options(
        canonical_shards=shards,
        global_batch_size=shards * width,
        block_rows=block_rows,
        shuffle=shuffle,
        epoch=epoch,
    )
    if not total:
        with pytest.raises(
            StreamError, match=r"^the split has no rows; there is nothing to stream$"
        ):
            plan_epoch(make_row_groups(layout), **chosen)
        return
    plan = plan_epoch(make_row_groups(layout), **chosen)
    every = [row for shard in plan.shards for block in shard for row in list_rows(block)]
    expected = [(g.file, g.index, row) for g in make_row_groups(layout) for row in range(g.rows)]
    assert sorted(every) == expected
    lengths = [plan.count_shard_rows(shard) for shard in range(shards)]
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
    plan = plan_epoch(make_row_groups(layout), **make_options())
    skip = min(skip, plan.steps)
    queue = order_blocks(plan, range(4), skip, window)
    rows_read = dict.fromkeys(range(4), skip * plan.slice_rows)
    for step in range(skip, plan.steps, window):
        for shard in range(4):
            need = min((step + window) * plan.slice_rows, plan.count_shard_rows(shard))
            while rows_read[shard] < need:  # the next block must have the rows needed next
                block = queue.pop(0)
                assert block.shard == shard
                rows_read[shard] = block.first_row + block.rows
    assert queue == []


@settings(max_examples=200, deadline=None)
@given(LAYOUTS, st.sampled_from([1, 2, 4]), st.integers(1, 5), st.booleans())
def test_batches_are_full_and_dropped_rows_rotate(
    layout: list[list[int]], shards: int, width: int, shuffle: bool
) -> None:
    total, batch = sum(map(sum, layout)), shards * width
    chosen = make_options(
        canonical_shards=shards, global_batch_size=batch, shuffle=shuffle, drop_last=True
    )
    if total // shards < width:
        with pytest.raises(StreamError, match=r"no rows|do not fill a batch"):
            plan_epoch(make_row_groups(layout), **chosen)
        return
    every = {(g.file, g.index, row) for g in make_row_groups(layout) for row in range(g.rows)}
    missed = []
    for epoch in range(4):
        plan = plan_epoch(make_row_groups(layout), **{**chosen, "epoch": epoch})
        rows = [row for shard in plan.shards for block in shard for row in list_rows(block)]
        assert len(rows) == len(set(rows)) == plan.steps * batch == total - plan.dropped_rows
        assert {plan.count_shard_rows(shard) for shard in range(shards)} == {plan.steps * width}
        missed.append(every - set(rows))
    if not shuffle and 2 * plan.dropped_rows <= total and shards == 1:
        assert not missed[0] & missed[1]  # at two shards the ends of both rotate


def test_a_shuffled_epoch_that_drops_rows_begins_like_one_that_does_not() -> None:
    """Its dropped rows rotate by the permutation; the sequence is not turned as well."""
    layout = make_row_groups([[4] * 10])
    epochs = {
        drop_last: list_row_groups(
            plan_epoch(
                layout,
                **make_options(canonical_shards=1, global_batch_size=16, epoch=1),
                drop_last=drop_last,
            )
        )
        for drop_last in (False, True)
    }
    assert epochs[True] == epochs[False][:8]  # 32 of 40 rows, in row groups of 4


def test_all_rows_come_in_some_epoch_where_rows_are_dropped() -> None:
    layout = make_row_groups([[10, 3], [7]])  # 20 rows, batches of 8: 4 are dropped
    chosen = make_options(canonical_shards=2, global_batch_size=8, drop_last=True, shuffle=False)
    missed = []
    for epoch in range(5):
        plan = plan_epoch(layout, **{**chosen, "epoch": epoch})
        assert plan.dropped_rows == 4
        rows = {row for shard in plan.shards for block in shard for row in list_rows(block)}
        missed.append({(g.file, g.index, r) for g in layout for r in range(g.rows)} - rows)
    assert set.intersection(*missed) == set()
    assert len(set.union(*missed)) == 20


def list_row_groups(plan: EpochPlan) -> tuple[int, ...]:
    """List the row groups of a file in the order in which the plan has them."""
    return tuple(r.row_group for shard in plan.shards for block in shard for r in block.ranges)


SEEDS_AND_EPOCHS = list(product((0, 1, 2), (0, 1, 2)))


def test_the_order_of_row_groups_depends_on_seed_and_epoch_alone() -> None:
    """Each by itself: the permutation of rows within blocks is not looked at."""
    layout = make_row_groups([[4] * 24])
    orders = {
        (seed, epoch): list_row_groups(plan_epoch(layout, **make_options(seed=seed, epoch=epoch)))
        for seed, epoch in SEEDS_AND_EPOCHS
    }
    assert all(sorted(order) == list(range(24)) for order in orders.values())
    assert len({*orders.values(), tuple(range(24))}) == 10  # and none is the dataset's order
    for seed, epoch in SEEDS_AND_EPOCHS:
        other = make_options(seed=seed, epoch=epoch, global_batch_size=16, block_rows=8)
        assert list_row_groups(plan_epoch(layout, **other)) == orders[seed, epoch]


def test_a_block_is_permuted_by_seed_epoch_shard_and_its_own_number() -> None:
    """Where one of the four is left out, some blocks are permuted alike."""
    layout = make_row_groups([[10] * 16])
    seeds = [
        block.permutation_seed
        for seed, epoch in SEEDS_AND_EPOCHS
        for shard in plan_epoch(
            layout, **make_options(seed=seed, epoch=epoch, block_rows=15)
        ).shards
        for block in shard
    ]
    assert len(set(seeds)) == len(SEEDS_AND_EPOCHS) * 4 * 2  # none of them is None: two of no seed
    permutations = {tuple(np.random.default_rng(seed).permutation(20).tolist()) for seed in seeds}
    assert len(permutations) == len(seeds)


def test_rows_in_order_are_not_permuted() -> None:
    plan = plan_epoch(make_row_groups([[10, 10]]), **make_options(shuffle=False, epoch=3, seed=9))
    assert {block.permutation_seed for shard in plan.shards for block in shard} == {None}
    assert list_row_groups(plan) == (0, 0, 1, 1)


def test_a_small_plan_worked_out_by_hand() -> None:
    # 11 rows in two shards of 5 and 6; a block ends with the range that brings it to 3 rows
    plan = plan_epoch(
        make_row_groups([[3, 0, 1], [7]]),
        **make_options(canonical_shards=2, global_batch_size=4, block_rows=3, shuffle=False),
    )
    assert [[block.ranges for block in shard] for shard in plan.shards] == [
        [(RowRange(0, 0, 0, 3),), (RowRange(0, 2, 0, 1), RowRange(1, 0, 0, 1))],
        [(RowRange(1, 0, 1, 7),)],
    ]
    assert [[block.first_row for block in shard] for shard in plan.shards] == [[0, 3], [0]]
    assert (plan.rows, plan.slice_rows, plan.steps, plan.dropped_rows) == (11, 2, 3, 0)


def test_row_groups_are_indexed_by_file_and_position() -> None:
    assert index_row_groups([[3, 0], [7]]) == [
        RowGroup(0, 0, 3), RowGroup(0, 1, 0), RowGroup(1, 0, 7),
    ]  # fmt: skip


def test_blocks_are_read_from_the_first_step_one_step_at_a_time_unless_said_otherwise() -> None:
    plan = plan_epoch(
        make_row_groups([[3] * 8]),
        **make_options(canonical_shards=2, global_batch_size=4, block_rows=3, shuffle=False),
    )  # two shards of 12 rows, blocks of 3, slices of 2: rows 0, 3, 6, 9 begin in steps 0, 1, 3, 4
    orders = {
        (first_step, steps): [
            (block.shard, block.first_row)
            for block in order_blocks(plan, range(2), first_step, steps)
        ]
        for first_step in (0, 3)
        for steps in (1, 4)
    }
    by_step = [(0, 0), (1, 0), (0, 3), (1, 3), (0, 6), (1, 6), (0, 9), (1, 9)]
    assert orders[0, 1] == by_step
    assert orders[0, 4] == [(0, 0), (0, 3), (0, 6), (1, 0), (1, 3), (1, 6), (0, 9), (1, 9)]
    assert orders[3, 1] == by_step[4:]
    assert orders[3, 4] == [(0, 6), (0, 9), (1, 6), (1, 9)]
    assert [(block.shard, block.first_row) for block in order_blocks(plan, range(2))] == by_step


@pytest.mark.parametrize(
    ("rows", "shards", "batch", "drop_last", "expected"),
    [
        (11, 2, 4, False, (3, 0)),  # the longer shard has 6 rows, 2 of them in a batch
        (11, 2, 4, True, (2, 3)),
        (12, 2, 4, True, (3, 0)),
        (9, 4, 8, False, (2, 0)),  # one shard has 3 rows
        (9, 4, 8, True, (1, 1)),
    ],
)
def test_steps_and_dropped_rows_worked_out_by_hand(
    rows: int, shards: int, batch: int, drop_last: bool, expected: tuple[int, int]
) -> None:
    assert count_steps(rows, shards, batch, drop_last=drop_last) == expected


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [
        (160, 16_384),  # 2.5 MiB
        (1024, 16_384),  # 16 MiB
        (1025, 16_368),
        (224 * 224 * 3, 111),  # 16.7 million bytes
        (2**25, 1),
    ],
)
def test_blocks_of_wide_rows_have_fewer_rows(row_bytes: int, rows: int) -> None:
    assert choose_block_rows(row_bytes) == rows


@pytest.mark.parametrize(
    ("rank", "size", "expected"),
    [(0, 1, range(8)), (1, 2, range(4, 8)), (3, 4, range(6, 8)), (7, 8, range(7, 8))],
)
def test_ranks_own_neighbouring_shards(rank: int, size: int, expected: range) -> None:
    assert assign_shards(8, rank, size) == expected


def test_what_does_not_divide_is_refused() -> None:
    """The messages say which keys to change."""
    with pytest.raises(
        StreamError,
        match="^3 ranks cannot share 8 canonical shards equally; use a divisor or change "
        r"stream\.canonical_shards$",
    ):
        assign_shards(8, 0, 3)
    with pytest.raises(
        StreamError,
        match=r"^4 canonical shards do not divide a global batch of 9 rows; use a multiple$",
    ):
        plan_epoch(make_row_groups([[5]]), **make_options(global_batch_size=9))
    with pytest.raises(
        StreamError,
        match=r"^the split has 1,023 rows, which do not fill a batch of 1,024, and "
        r"stream\.last_batch is drop; set it to pad, or take smaller batches$",
    ):
        count_steps(1023, 4, 1024, drop_last=True)


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
    chosen = choose_canonical_shards(rows, batch, 16_384)
    assert (chosen, type(chosen)) == (shards, int)
