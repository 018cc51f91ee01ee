"""One epoch of one rank: batches worked out by hand, and a block reader that breaks the plan."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from headrace.stream.epoch_reader import EpochReader, EpochSource, StreamBuffers
from headrace.stream.plan import Block, plan_epoch
from headrace.stream.row_ranges import RowRange, index_row_groups
from headrace.stream.worker import BlockResult
from tests.stream.rows import COLUMNS, write_files


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def files(tmp_path: Path) -> tuple[DataFile, ...]:
    return write_files(tmp_path, [[3, 2]])


def make_source(root: Path, files: tuple[DataFile, ...], **changes: Any) -> EpochSource:
    """Make the source of 5 rows in order: one shard, blocks of 2 and more rows, batches of 2."""
    plan = plan_epoch(
        index_row_groups([file.row_groups for file in files]), canonical_shards=1,
        global_batch_size=2, block_rows=2, shuffle=False, seed=0, epoch=7,
    )  # fmt: skip
    options: dict[str, Any] = {"rank": 0, "shards": range(1), "plan": plan, "epoch": 7}
    options |= {"first_step": 0, "steps_per_stack": 2, "readers": 2, "cache": None}
    options |= {"engine": "petastorm"}
    return EpochSource(str(root), files, COLUMNS, **{**options, **changes})


class ReaderWithDefect:
    """A block reader whose results are replaced or followed by others."""

    has_submitted_all = True

    def __init__(self, reader: Any, results: list[BlockResult], *, replace: bool) -> None:
        self._reader, self._results, self._replace = reader, iter(results), replace

    def read_block(self) -> BlockResult | None:
        result = None if self._replace else self._reader.read_block()
        return result or next(self._results, None)

    def close(self) -> None:
        self._reader.close()


def make_result(shard: int) -> BlockResult:
    block = Block(shard, 0, (RowRange(0, 0, 0, 3),), None)
    return BlockResult(block, dict.fromkeys(COLUMNS.arrays, 0))


def test_batches_are_stacked_and_the_last_one_is_padded(
    tmp_path: Path, files: tuple[DataFile, ...], threads: ThreadPoolExecutor
) -> None:
    reader = EpochReader(make_source(tmp_path, files), StreamBuffers(COLUMNS), threads)
    first, last = reader.read_batch_stacks()
    reader.close()
    assert first["row_id"].tolist() == [[0, 1], [2, 3]]
    assert first["weight"].tolist() == [[1, 1], [1, 1]]
    assert last["row_id"].tolist() == [[4, 0]]
    assert last["weight"].tolist() == [[1, 0]]
    assert reader.has_submitted_all


def test_a_resumed_epoch_begins_at_its_first_step(
    tmp_path: Path, files: tuple[DataFile, ...], threads: ThreadPoolExecutor
) -> None:
    source = make_source(tmp_path, files, first_step=1)
    reader = EpochReader(source, StreamBuffers(COLUMNS), threads)
    (stack,) = reader.read_batch_stacks()
    reader.close()
    assert stack["row_id"].tolist() == [[2, 3], [4, 0]]


def test_a_rank_without_rows_reads_nothing_and_has_padding(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    files = write_files(tmp_path, [[1]])
    plan = plan_epoch(
        index_row_groups([[1]]), canonical_shards=2, global_batch_size=2, block_rows=2,
        shuffle=False, seed=0, epoch=0,
    )  # fmt: skip
    (tmp_path / files[0].path).unlink()  # the only row is of shard 1
    reader = EpochReader(make_source(tmp_path, files, plan=plan), StreamBuffers(COLUMNS), threads)
    assert reader.has_submitted_all
    (stack,) = reader.read_batch_stacks()
    reader.close()
    assert stack["weight"].tolist() == [[0]]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([make_result(1)], "needs rows from row 0 on, .* returned a block of shard 1"),
        ([], "needs rows from row 0 on, .* returned no block"),
    ],
)
def test_a_reader_that_breaks_the_plan_is_an_error(
    tmp_path: Path,
    files: tuple[DataFile, ...],
    threads: ThreadPoolExecutor,
    results: list[BlockResult],
    message: str,
) -> None:
    reader = EpochReader(make_source(tmp_path, files), StreamBuffers(COLUMNS), threads)
    reader._reader = ReaderWithDefect(reader._reader, results, replace=True)
    with pytest.raises(StreamError, match=f"rank 0: shard 0 {message}"):
        next(reader.read_batch_stacks())
    reader.close()


def test_a_block_too_many_is_an_error_before_the_last_batches(
    tmp_path: Path, files: tuple[DataFile, ...], threads: ThreadPoolExecutor
) -> None:
    reader = EpochReader(make_source(tmp_path, files), StreamBuffers(COLUMNS), threads)
    reader._reader = ReaderWithDefect(reader._reader, [make_result(0)], replace=False)
    stacks = reader.read_batch_stacks()
    next(stacks)
    with pytest.raises(StreamError, match=r"rank 0, epoch 8: .*: more blocks than planned"):
        next(stacks)
    reader.close()


def test_a_missing_file_is_an_error_of_this_rank(
    tmp_path: Path, files: tuple[DataFile, ...], threads: ThreadPoolExecutor
) -> None:
    (tmp_path / files[0].path).unlink()
    with pytest.raises(StreamError, match="rank 3: a file of the dataset version is missing"):
        EpochReader(make_source(tmp_path, files, rank=3), StreamBuffers(COLUMNS), threads)
