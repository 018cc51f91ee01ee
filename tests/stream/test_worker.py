"""One block at a time: rows and checksums worked out by hand, and what a worker refuses."""

import os
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from headrace.stream.batch_assembly import Batch, BatchAssembly
from headrace.stream.buffer_pool import BufferPool
from headrace.stream.cache import Cache, MemoryCache
from headrace.stream.columns import Columns
from headrace.stream.footers import FooterCache
from headrace.stream.plan import Block, EpochPlan
from headrace.stream.row_ranges import RowRange
from headrace.stream.worker import BlockResult, BlockTask, BlockWorker
from headrace.transform.spec import ModelInput
from tests.stream.rows import COLUMNS, write_files

# Rows 2 to 5 of a file with the row groups [0, 1, 2, 3] and [4, 5, 6].
RANGES = (RowRange(0, 0, 2, 4), RowRange(0, 1, 0, 2))


class Work:
    """One worker, and the rows and results that it produces."""

    def __init__(self, root: Path, files: tuple[DataFile, ...], columns: Columns = COLUMNS) -> None:
        self.root, self.files, self.columns = root, files, columns
        self.results: list[BlockResult] = []
        self.worker = BlockWorker(fsspec.filesystem("file"))

    def process(
        self,
        ranges: tuple[RowRange, ...] = RANGES,
        seed: tuple[int, ...] | None = None,
        consumed_rows: int = 0,
        cache: Cache | None = None,
    ) -> Batch:
        """Process one block of a shard with slices of 2 rows, and return its batches."""
        block = Block(0, 0, ranges, seed)
        plan = EpochPlan({0: (block,)}, slice_rows=2, steps=-(-block.rows // 2))
        pools = BufferPool(self.columns), BufferPool(self.columns, "weight")
        assembly = BatchAssembly(plan, range(1), 0, plan.steps, pools[1])
        paths = {i: f"{self.root}/{file.path}" for i, file in enumerate(self.files)}
        task = BlockTask(
            block, self.columns, paths, self.files, FooterCache(), pools[0], assembly,
            consumed_rows, cache,
        )  # fmt: skip
        self.results.append(self.worker.read_block(task))
        return assembly.pop_stack(0)


@pytest.fixture
def files(tmp_path: Path) -> tuple[DataFile, ...]:
    return write_files(tmp_path, [[4, 3]])


def test_rows_of_two_row_groups_and_their_checksums(
    tmp_path: Path, files: tuple[DataFile, ...]
) -> None:
    work = Work(tmp_path, files)
    batches = work.process()
    assert batches["row_id"].tolist() == [[2, 3], [4, 5]]
    assert batches["numeric"].tolist() == [[[2, -2], [3, -3]], [[4, -4], [5, -5]]]
    assert batches["weight"].tolist() == [[1, 1], [1, 1]]
    (result,) = work.results
    assert result.block.rows == 4
    assert result.checksums["row_id"] == 2 + 3 + 4 + 5
    assert result.checksums["label"] == 2 * 0x3F80_0000  # 0, 1, 0, 1; the bits of 1.0
    assert result.checksums["categorical"] == 14


def test_consumed_rows_are_neither_written_nor_in_the_checksums(
    tmp_path: Path, files: tuple[DataFile, ...]
) -> None:
    work = Work(tmp_path, files)
    batches = work.process(consumed_rows=3)
    assert batches["weight"].tolist() == [[0, 0], [0, 1]]
    assert batches["row_id"][1, 1] == 5
    assert work.results[0].checksums["row_id"] == 5


def test_a_seed_permutes_the_rows_and_keeps_their_checksums(
    tmp_path: Path, files: tuple[DataFile, ...]
) -> None:
    whole = (RowRange(0, 0, 0, 4), RowRange(0, 1, 0, 3))
    work = Work(tmp_path, files)
    orders = [work.process(whole, seed)["row_id"].reshape(-1)[:7].tolist() for seed in ((1,), (2,))]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(7))
    assert orders[0] != orders[1]
    assert {result.checksums["row_id"] for result in work.results} == {21}
    # what a resumed epoch reads is the end of the same order
    rest = work.process(whole, (1,), consumed_rows=3)["row_id"].reshape(-1)[3:7].tolist()
    assert rest == orders[0][3:]


def test_a_row_group_that_was_used_in_part_stays_decoded(
    tmp_path: Path, files: tuple[DataFile, ...]
) -> None:
    work = Work(tmp_path, files)
    work.process((RowRange(0, 0, 0, 1),))
    os.truncate(tmp_path / files[0].path, 4)
    assert work.process((RowRange(0, 0, 1, 3),))["row_id"].tolist() == [[1, 2]]
    with pytest.raises(StreamError, match=r"part-000.parquet row group 1 cannot be read"):
        work.process((RowRange(0, 1, 0, 2),))


def test_row_groups_come_from_the_cache_first(tmp_path: Path, files: tuple[DataFile, ...]) -> None:
    cache = MemoryCache(10**6)
    Work(tmp_path, files).process(cache=cache)
    (tmp_path / files[0].path).unlink()
    batches = Work(tmp_path, files).process(cache=cache)
    assert batches["row_id"].tolist() == [[2, 3], [4, 5]]
    rewritten = (files[0].model_copy(update={"footer": "other"}),)
    with pytest.raises(StreamError, match="is missing"):
        Work(tmp_path, rewritten).process(cache=cache)


def test_a_column_that_the_file_lacks_is_named(tmp_path: Path, files: tuple[DataFile, ...]) -> None:
    columns = Columns({"x": ModelInput("float32", (2,), ("a", "absent"))})
    with pytest.raises(StreamError, match=r"part-000.parquet has no column 'absent'"):
        Work(tmp_path, files, columns).process()


def test_arrays_that_were_filled_wrong_are_a_defect(
    tmp_path: Path, files: tuple[DataFile, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = Columns.fill_arrays

    def fill_one_wrong(self: Columns, arrays: dict[str, np.ndarray], *rest: Any) -> None:
        fill(self, arrays, *rest)
        arrays["label"][0] = 9

    monkeypatch.setattr(Columns, "fill_arrays", fill_one_wrong)
    with pytest.raises(StreamError, match=r"row group 0: its values were decoded but not copied"):
        Work(tmp_path, files).process((RowRange(0, 0, 0, 4),))
