"""Rows are written where their batch needs them, worked out by hand; padding is zeros."""

from itertools import pairwise

import numpy as np

from headrace.stream.batch_assembly import Batch, BatchAssembly
from headrace.stream.buffer_pool import BufferPool
from headrace.stream.columns import Columns
from headrace.stream.plan import EpochPlan, plan_epoch
from headrace.stream.row_ranges import index_row_groups
from headrace.transform.spec import ModelInput

COLUMNS = Columns({"n": ModelInput("int32", (), ("n",))})


def make_plan(rows: int, slice_rows: int = 2, shards: int = 2) -> EpochPlan:
    return plan_epoch(
        index_row_groups([[rows]]), canonical_shards=shards, global_batch_size=shards * slice_rows,
        block_rows=100, shuffle=False, seed=0, epoch=0,
    )  # fmt: skip


def make_used_pool(steps: int, rows: int) -> BufferPool:
    """Make a pool whose free buffer still has the values of an earlier use."""
    pool = BufferPool(COLUMNS, "weight")
    for array in pool.acquire_arrays(steps, rows).values():
        array[...] = 77
    return pool


def write(assembly: BatchAssembly, shard: int, first_row: int, values: list[int]) -> None:
    assembly.write_rows(shard, first_row, {"n": np.array(values, np.int32)}, None)


def as_lists(stack: Batch) -> tuple[list[list[int]], list[list[float]]]:
    return stack["n"].tolist(), stack["weight"].tolist()


def test_each_shard_has_its_columns_and_the_last_batch_is_padded() -> None:
    # 10 rows: shard 0 has the rows 0 to 4, shard 1 the rows 5 to 9; 2 rows of each in a batch
    assembly = BatchAssembly(make_plan(10), range(2), 0, 2, make_used_pool(2, 4))
    write(assembly, 0, 0, [0, 1, 2, 3, 4])
    write(assembly, 1, 0, [5, 6, 7, 8, 9])
    assert as_lists(assembly.pop_stack(0)) == (
        [[0, 1, 5, 6], [2, 3, 7, 8]],
        [[1, 1, 1, 1], [1, 1, 1, 1]],
    )
    assert as_lists(assembly.pop_stack(2)) == ([[4, 0, 9, 0]], [[1, 0, 1, 0]])


def test_a_permuted_block_begins_in_the_middle_of_a_slice() -> None:
    assembly = BatchAssembly(make_plan(10), range(1), 0, 2, make_used_pool(2, 2))
    rows = {"n": np.array([10, 11, 12, 13], np.int32)}
    assembly.write_rows(0, 1, rows, np.array([2, 0, 1]))  # row 13 was consumed before
    write(assembly, 0, 0, [9])
    assert as_lists(assembly.pop_stack(0)) == ([[9, 12], [10, 11]], [[1, 1], [1, 1]])


def test_rows_that_were_not_written_have_no_weight() -> None:
    """In a stack without padding too, so that a lost row is missing from the count."""
    assembly = BatchAssembly(make_plan(10), range(1), 0, 2, make_used_pool(2, 2))
    write(assembly, 0, 1, [1, 2, 3])
    assert assembly.pop_stack(0)["weight"].tolist() == [[0, 1], [1, 1]]


def test_a_rank_has_its_own_shards_from_the_first_column_on() -> None:
    assembly = BatchAssembly(make_plan(10), range(1, 2), 0, 3, make_used_pool(3, 2))
    write(assembly, 1, 0, [5, 6, 7, 8, 9])
    assert assembly.pop_stack(0)["n"].tolist() == [[5, 6], [7, 8], [9, 0]]


def test_stacks_of_a_resumed_epoch_begin_at_its_first_step() -> None:
    assembly = BatchAssembly(make_plan(10), range(1), 1, 2, make_used_pool(2, 2))
    write(assembly, 0, 2, [2, 3, 4])
    assert as_lists(assembly.pop_stack(1)) == ([[2, 3], [4, 0]], [[1, 1], [1, 0]])


def test_a_rank_without_rows_has_padding_alone() -> None:
    # one row in two shards: shard 0 has none
    assembly = BatchAssembly(make_plan(1), range(1), 0, 1, make_used_pool(1, 2))
    assert as_lists(assembly.pop_stack(0)) == ([[0, 0]], [[0, 0]])


def test_blocks_of_any_length_fill_the_same_batches() -> None:
    """Compared with a loop over rows: row r of a shard is in batch r // 3, column r % 3."""
    plan, rng = make_plan(41, slice_rows=3), np.random.default_rng(0)
    for steps_per_stack in (1, 2, 4, 7):
        assembly = BatchAssembly(plan, range(2), 0, steps_per_stack, BufferPool(COLUMNS, "weight"))
        expected = np.zeros((7, 6), int)
        for shard, rows in enumerate((20, 21)):
            bounds = [0, *sorted(rng.integers(0, rows, 4).tolist()), rows]
            for begin, end in pairwise(bounds):
                write(assembly, shard, begin, [100 * shard + row for row in range(begin, end)])
            for row in range(rows):
                expected[row // 3, 3 * shard + row % 3] = 100 * shard + row
        stacks = [assembly.pop_stack(step)["n"] for step in range(0, 7, steps_per_stack)]
        np.testing.assert_array_equal(np.concatenate(stacks), expected)
