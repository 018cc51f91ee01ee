"""The plan, as properties over random layouts: exact, equal, the same at any number of ranks."""

import hashlib
import random
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
    order_blocks,
    plan_epoch,
)
from headrace.stream.row_ranges import RowRange, index_row_groups

LAYOUTS = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=5), min_size=1, max_size=6)


def list_all_rows(layout: list[list[int]]) -> list[tuple[int, int, int]]:
    return [
        (file, number, row)
        for file, groups in enumerate(layout)
        for number, rows in enumerate(groups)
        for row in range(rows)
    ]


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
            plan_epoch(index_row_groups(layout), **chosen)
        return
    plan = plan_epoch(index_row_groups(layout), **chosen)
    every = [row for shard in plan.shards.values() for block in shard for row in list_rows(block)]
    expected = list_all_rows(layout)
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
    plan = plan_epoch(index_row_groups(layout), **make_options())
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
            plan_epoch(index_row_groups(layout), **chosen)
        return
    every = set(list_all_rows(layout))
    missed = []
    for epoch in range(4):
        plan = plan_epoch(index_row_groups(layout), **{**chosen, "epoch": epoch})
        rows = [
            row for shard in plan.shards.values() for block in shard for row in list_rows(block)
        ]
        assert len(rows) == len(set(rows)) == plan.steps * batch == total - plan.dropped_rows
        assert {plan.count_shard_rows(shard) for shard in range(shards)} == {plan.steps * width}
        missed.append(every - set(rows))
    if not shuffle and 2 * plan.dropped_rows <= total and shards == 1:
        assert not missed[0] & missed[1]  # at two shards the ends of both rotate


def test_a_shuffled_epoch_that_drops_rows_begins_like_one_that_does_not() -> None:
    """Its dropped rows rotate by the permutation; the sequence is not turned as well."""
    layout = index_row_groups([[4] * 10])
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
    layout = [[10, 3], [7]]  # 20 rows, batches of 8: 4 are dropped
    chosen = make_options(canonical_shards=2, global_batch_size=8, drop_last=True, shuffle=False)
    missed = []
    for epoch in range(5):
        plan = plan_epoch(index_row_groups(layout), **{**chosen, "epoch": epoch})
        assert plan.dropped_rows == 4
        rows = {
            row for shard in plan.shards.values() for block in shard for row in list_rows(block)
        }
        missed.append(set(list_all_rows(layout)) - rows)
    assert set.intersection(*missed) == set()
    assert len(set.union(*missed)) == 20


def list_row_groups(plan: EpochPlan) -> tuple[int, ...]:
    """List the row groups of a file in the order in which the plan has them."""
    return tuple(
        r.row_group for shard in plan.shards.values() for block in shard for r in block.ranges
    )


SEEDS_AND_EPOCHS = list(product((0, 1, 2), (0, 1, 2)))


def test_the_order_of_row_groups_depends_on_seed_and_epoch_alone() -> None:
    """Each by itself: the permutation of rows within blocks is not looked at."""
    layout = index_row_groups([[4] * 24])
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
    layout = index_row_groups([[10] * 16])
    seeds = [
        block.permutation_seed
        for seed, epoch in SEEDS_AND_EPOCHS
        for shard in plan_epoch(
            layout, **make_options(seed=seed, epoch=epoch, block_rows=15)
        ).shards.values()
        for block in shard
    ]
    assert len(set(seeds)) == len(SEEDS_AND_EPOCHS) * 4 * 2  # none of them is None: two of no seed
    permutations = {tuple(np.random.default_rng(seed).permutation(20).tolist()) for seed in seeds}
    assert len(permutations) == len(seeds)


def test_rows_in_order_are_not_permuted() -> None:
    plan = plan_epoch(index_row_groups([[10, 10]]), **make_options(shuffle=False, epoch=3, seed=9))
    assert {block.permutation_seed for shard in plan.shards.values() for block in shard} == {None}
    assert list_row_groups(plan) == (0, 0, 1, 1)


def test_a_small_plan_worked_out_by_hand() -> None:
    # 11 rows in two shards of 5 and 6; a block ends with the range that brings it to 3 rows
    plan = plan_epoch(
        index_row_groups([[3, 0, 1], [7]]),
        **make_options(canonical_shards=2, global_batch_size=4, block_rows=3, shuffle=False),
    )
    assert [[block.ranges for block in shard] for shard in plan.shards.values()] == [
        [(RowRange(0, 0, 0, 3),), (RowRange(0, 2, 0, 1), RowRange(1, 0, 0, 1))],
        [(RowRange(1, 0, 1, 7),)],
    ]
    assert [[block.first_row for block in shard] for shard in plan.shards.values()] == [[0, 3], [0]]
    assert (plan.rows, plan.slice_rows, plan.steps, plan.dropped_rows) == (11, 2, 3, 0)


@settings(max_examples=100, deadline=None)
@given(LAYOUTS, st.booleans(), st.booleans(), st.sampled_from([1, 2, 4]))
def test_a_rank_plans_its_own_shards_and_they_are_those_of_the_whole_plan(
    layout: list[list[int]], shuffle: bool, drop_last: bool, size: int
) -> None:
    if sum(map(sum, layout)) < 8:
        return
    chosen = make_options(shuffle=shuffle, drop_last=drop_last, epoch=3)
    whole = plan_epoch(index_row_groups(layout), **chosen)
    merged: dict[int, tuple[Block, ...]] = {}
    for rank in range(size):
        shards = assign_shards(4, rank, size)
        own = plan_epoch(index_row_groups(layout), **chosen, shards=shards)
        assert list(own.shards) == list(shards)
        assert (own.steps, own.dropped_rows) == (whole.steps, whole.dropped_rows)
        merged |= own.shards
    assert merged == whole.shards


def test_512_ranks_plan_and_resume_shares_of_one_epoch() -> None:
    """Each plans for itself; together they have every row, from a step in the middle as well."""
    index = index_row_groups([[64] * 32] * 64)  # 131,072 rows: 256 a shard, 64 steps
    chosen = make_options(canonical_shards=512, global_batch_size=2048, block_rows=128)
    row_groups = {"all": 0, "resumed": 0}
    rows: set[tuple[int, int, int]] = set()
    for rank in range(512):
        shards = assign_shards(512, rank, 512)
        plan = plan_epoch(index, **chosen, shards=shards)
        assert (plan.steps, plan.rows, list(plan.shards)) == (64, 256, [rank])
        every, rest = order_blocks(plan, shards), order_blocks(plan, shards, first_step=32)
        assert rest == every[len(every) - len(rest) :]
        rows |= {row for block in every for row in list_rows(block)}
        row_groups["all"] += sum(len(block.ranges) for block in every)
        row_groups["resumed"] += sum(len(block.ranges) for block in rest)
    assert len(rows) == 131_072
    # whole row groups: four a shard, of which the second half is read from step 32 on
    assert row_groups == {"all": 2048, "resumed": 1024}


def test_plans_stay_what_they_were() -> None:
    """A digest over 294 plans that was computed with the first plan's code, row group by row
    group: checkpoints of unfinished epochs are continued in the order in which they began."""
    numbers = random.Random(7)
    digest = hashlib.sha256()
    plans = 0
    for _ in range(300):
        layout = [
            [numbers.choice((0, 1, 3, 7, 20, 40, 1000)) for _ in range(numbers.randint(1, 6))]
            for _ in range(numbers.randint(1, 7))
        ]
        shards, width = numbers.choice((1, 2, 4, 8)), numbers.randint(1, 5)
        drop_last, shuffle = numbers.random() < 0.4, numbers.random() < 0.5
        epoch, seed = numbers.randint(0, 4), numbers.randint(0, 9)
        block_rows, window = numbers.randint(1, 60), numbers.randint(1, 3)
        rows = sum(map(sum, layout))
        if not rows or (drop_last and rows // shards < width):
            continue
        plan = plan_epoch(
            index_row_groups(layout),
            canonical_shards=shards,
            global_batch_size=shards * width,
            block_rows=block_rows,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
        )
        blocks = [
            (
                block.shard,
                block.first_row,
                [(r.file, r.row_group, r.start, r.stop) for r in block.ranges],
                block.permutation_seed,
            )
            for block in order_blocks(plan, range(shards), 0, window)
        ]
        digest.update(repr(blocks).encode())
        digest.update(repr((plan.slice_rows, plan.steps, plan.dropped_rows)).encode())
        plans += 1
    assert plans == 294
    assert digest.hexdigest() == "2b32674340ff9c97044527337c20a414832b968dc67463c6028f0ed3502f4ad6"


def test_blocks_are_read_from_the_first_step_one_step_at_a_time_unless_said_otherwise() -> None:
    plan = plan_epoch(
        index_row_groups([[3] * 8]),
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
        plan_epoch(index_row_groups([[5]]), **make_options(global_batch_size=9))
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
