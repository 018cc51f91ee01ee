"""The account of a shard: rows and checksums that were read against those that were delivered."""

import pytest

from headrace.stream.plan import Block
from headrace.stream.row_ranges import RowRange
from headrace.stream.shard_account import ShardAccount
from headrace.stream.worker import BlockResult


def make_result(first_row: int, rows: int, checksum: int) -> BlockResult:
    block = Block(3, first_row, (RowRange(0, 0, 0, rows),), None)
    return BlockResult(block, {"n": checksum})


def test_rows_are_needed_until_the_shard_ends() -> None:
    account = ShardAccount(3, rows=10, first_row=0, names=["n"])
    assert account.needs_rows(1)
    account.add_block(make_result(0, 4, checksum=5))
    assert account.rows_read == 4
    assert not account.needs_rows(4)
    assert account.needs_rows(5)
    account.add_block(make_result(4, 6, checksum=7))
    assert account.rows_read == 10
    assert not account.needs_rows(99)  # the rest of the batch is padding


@pytest.mark.parametrize(
    ("rows", "checksum", "difference"),
    [
        (10, 4, ""),  # 5 + (2**32 - 1) wraps to 4
        (10, 2**32 + 4, ""),
        (10, 5, "shard 3: n has other values than were read"),
        (9, 4, "shard 3: 9 of 10 rows"),
        (11, 4, "shard 3: 11 of 10 rows"),
    ],
)
def test_differences_are_described(rows: int, checksum: int, difference: str) -> None:
    account = ShardAccount(3, rows=10, first_row=0, names=["n"])
    account.add_block(make_result(0, 4, checksum=5))
    account.add_block(make_result(4, 6, checksum=2**32 - 1))
    assert account.describe_difference(rows, {"n": checksum}) == difference


def test_a_shard_that_was_not_read_to_its_end_differs() -> None:
    account = ShardAccount(3, rows=10, first_row=0, names=["n"])
    account.add_block(make_result(0, 4, checksum=5))
    assert account.describe_difference(4, {"n": 5}) == "shard 3: 4 of 10 rows"
    assert account.describe_difference(10, {"n": 5})  # more were delivered than were read


def test_a_resumed_epoch_counts_the_rows_from_its_first_step_on() -> None:
    account = ShardAccount(3, rows=10, first_row=4, names=["n"])
    assert account.needs_rows(5)
    assert not account.needs_rows(4)
    account.add_block(make_result(4, 6, checksum=9))
    assert account.describe_difference(6, {"n": 9}) == ""
    assert account.describe_difference(10, {"n": 9}) == "shard 3: 10 of 6 rows"


def test_a_shard_that_ended_before_the_first_step_needs_nothing() -> None:
    account = ShardAccount(3, rows=4, first_row=10, names=["n"])
    assert not account.needs_rows(100)
    assert account.describe_difference(0, {"n": 0}) == ""
