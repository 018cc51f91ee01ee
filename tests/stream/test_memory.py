"""A stream keeps within the bytes it is given, and has the same batches at any number of ranks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from headrace.stream.memory import SplitSize, StreamShape, choose_shape
from headrace.stream.plan import choose_block_rows, choose_canonical_shards, plan_epoch
from headrace.stream.row_ranges import index_row_groups
from headrace.stream.split_stream import SplitStream, measure_split
from tests.stream.rows import COLUMNS, list_row_ids, write_files

MIB = 2**20


@st.composite
def draw_sizes(draw: st.DrawFn) -> SplitSize:
    rows, row_bytes = draw(st.integers(1, 10**7)), draw(st.sampled_from([4, 160, 4_000, 150_528]))
    return SplitSize(
        rows=rows,
        longest=draw(st.integers(1, rows)),
        row_bytes=row_bytes,
        widest_bytes=draw(st.sampled_from([4, row_bytes])),
        global_batch_size=draw(st.sampled_from([1, 96, 100, 4096])),
    )


MEMORY = st.integers(2**20, 2**38)


@given(draw_sizes(), st.none() | st.integers(1, 50_000))
def test_without_a_bound_rows_and_width_alone_decide(size: SplitSize, rows: int | None) -> None:
    shape = choose_shape(size, block_rows=rows)
    assert shape.block_rows == (rows or choose_block_rows(size.row_bytes))
    assert shape.canonical_shards == choose_canonical_shards(
        size.rows, size.global_batch_size, shape.block_rows
    )


@given(draw_sizes(), MEMORY, st.none() | st.integers(1, 50_000))
@settings(max_examples=200)
def test_a_bound_is_kept_or_refused(size: SplitSize, memory: int, rows: int | None) -> None:
    free = choose_shape(size, block_rows=rows)
    try:
        shape = choose_shape(size, block_rows=rows, memory=memory)
    except StreamError as error:
        # What the message asks for is enough, and for one shard less is not.
        needed = read_needed(error)
        assert needed > memory
        choose_shape(size, block_rows=rows, memory=needed)
        with pytest.raises(StreamError):
            choose_shape(size, block_rows=rows, memory=needed - needed // 1000 - 1)
        return
    assert shape.memory_bytes <= memory
    assert free.canonical_shards % shape.canonical_shards == 0
    assert size.global_batch_size % shape.canonical_shards == 0
    assert 1 <= shape.block_rows <= free.block_rows
    if rows is not None:
        assert shape.block_rows == rows
    if size.predict_memory(*cut(free), memory // 8) <= memory:  # it was within it anyway
        assert cut(shape) == cut(free)


def cut(shape: StreamShape) -> tuple[int, int]:
    return shape.canonical_shards, shape.block_rows


def read_needed(error: StreamError) -> int:
    (needed,) = re.findall(r"which take ([\d,]+) on all ranks", str(error))
    return int(needed.replace(",", ""))


@given(draw_sizes(), MEMORY, st.sampled_from([2, 4, 8, 64]))
@settings(max_examples=200)
def test_ranks_decide_nothing_and_are_told_what_they_need(
    size: SplitSize, memory: int, ranks: int
) -> None:
    free = choose_shape(size)
    try:
        alone = choose_shape(size, memory=memory)
    except StreamError:
        return
    try:
        assert choose_shape(size, memory=memory, ranks=ranks) == alone
    except StreamError as error:
        assert alone.canonical_shards % ranks
        assert f"{ranks} ranks cannot share equally" in str(error)
        needed = read_needed(error)
        assert choose_shape(size, memory=needed, ranks=ranks).canonical_shards >= ranks
    else:
        # Fewer shards than ranks without a bound are what `plan.assign_shards` refuses.
        assert alone.canonical_shards % ranks == 0 or free.canonical_shards % ranks


def test_shards_of_the_recipe_are_kept() -> None:
    size = SplitSize(10**6, 10_000, 100, 4, 4096)
    needed = size.predict_memory(64, 1)
    with pytest.raises(StreamError, match=r"blocks of 64 canonical shards.*fewer stream\.canonic"):
        choose_shape(size, canonical_shards=64, memory=needed // 2)
    assert choose_shape(size, memory=needed // 2).canonical_shards < 64


def test_the_case_of_large_row_groups() -> None:
    """100 MiB a row group: 64 shards took three blocks of that each, 19 GiB on whatever ranks."""
    size = SplitSize(
        rows=200 * 2**20, longest=2**20, row_bytes=100, widest_bytes=4, global_batch_size=4096
    )
    free = choose_shape(size)
    assert free.canonical_shards == 64
    assert free.memory_bytes > 19 * 2**30
    bound = choose_shape(size, memory=4 * 2**30)
    assert (bound.canonical_shards, bound.block_rows) == (4, 16_384)
    assert bound.memory_bytes <= 4 * 2**30


@given(draw_sizes(), MEMORY)
@settings(max_examples=60)
def test_blocks_of_a_plan_are_as_long_as_was_said(size: SplitSize, memory: int) -> None:
    rows = min(size.rows, 2_000)
    small = SplitSize(
        rows, min(size.longest, rows), size.row_bytes, size.widest_bytes, size.global_batch_size
    )
    try:
        shape = choose_shape(small, memory=memory)
    except StreamError:
        return
    groups = [small.longest] * (rows // small.longest) + [rows % small.longest]
    plan = plan_epoch(
        index_row_groups([groups]), canonical_shards=shape.canonical_shards,
        global_batch_size=small.global_batch_size, block_rows=shape.block_rows,
        shuffle=True, seed=1, epoch=0,
    )  # fmt: skip
    for shard, blocks in plan.shards.items():
        longest = max((block.rows for block in blocks), default=0)
        assert longest <= min(shape.block_rows - 1 + small.longest, plan.count_shard_rows(shard))


def open_stream(root: Path, files: tuple[DataFile, ...], **options: Any) -> SplitStream:
    version = SimpleNamespace(root=str(root), list_files=lambda split: files)
    given = {"rank": 0, "size": 1, "global_batch_size": 64, "shuffle": True, "seed": 5}
    return SplitStream.for_split(version, "train", COLUMNS, **{**given, **options})


def test_bounded_batches_do_not_depend_on_ranks_or_readers(tmp_path: Path) -> None:
    files = write_files(tmp_path, [[500] * 6] * 4)
    memory = measure_split(files, COLUMNS, 64).predict_memory(8, 1) * 8 // 7
    whole = open_stream(tmp_path, files, memory=memory)
    assert (whole.canonical_shards, whole.memory) == (8, memory)
    assert open_stream(tmp_path, files).canonical_shards > 8
    expected = list(whole.read_batches(0))
    assert sorted(i for batch in expected for i in list_row_ids(batch)) == list(range(12_000))
    for ranks, readers in ((2, 1), (4, 3), (8, 2)):
        parts = [
            list(
                open_stream(
                    tmp_path, files, memory=memory, rank=rank, size=ranks, readers=readers
                ).read_batches(0)
            )
            for rank in range(ranks)
        ]
        for step, batch in enumerate(expected):
            joined = np.concatenate([part[step]["row_id"] for part in parts])
            assert joined.tolist() == batch["row_id"].tolist()
    with pytest.raises(StreamError, match="16 ranks cannot share equally"):
        open_stream(tmp_path, files, memory=memory, size=16)


def test_columns_that_are_read_one_by_one_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_files(tmp_path, [[50] * 3, [70]])

    def read() -> list[dict[str, np.ndarray]]:
        return list(open_stream(tmp_path, files, canonical_shards=4).read_batches(0))

    together = read()
    asked: list[list[str]] = []
    read_row_group = pq.ParquetFile.read_row_group

    def record(file: Any, number: int, columns: list[str], **options: Any) -> pa.Table:
        asked.append(columns)
        return read_row_group(file, number, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", record)
    monkeypatch.setattr("headrace.stream.worker.READ_BYTES", 1)
    for batch, expected in zip(read(), together, strict=True):
        assert {name: array.tobytes() for name, array in batch.items()} == {
            name: array.tobytes() for name, array in expected.items()
        }
    assert {len(columns) for columns in asked} == {1}
    # 8 bytes a row: two numbers of 4 bytes are read together, three are not
    assert COLUMNS.group_names(10, 80)[:2] == [["a", "b"], ["c", "label"]]


def write_wide(root: Path, kind: str) -> None:
    """Write a file of 100 rows, and 128 row groups of 8 MiB: 16 shards of them or 64 by default."""
    rows, columns = (2048, 1) if kind == "list" else (32_768, 64)
    values = np.random.default_rng(0).random(2**21, np.float32)
    files = []
    for number, groups in enumerate([(100,)] + [(rows,) * 8] * 16):
        path = root / f"part-{number:03d}.parquet"
        offsets = np.arange(groups[0] + 1, dtype=np.int32) * 1024
        table = (
            pa.table({"x": pa.ListArray.from_arrays(offsets, values[: groups[0] * 1024])})
            if kind == "list"
            else pa.table({f"c{n}": values[n * 100 :][: groups[0]] for n in range(columns)})
        )
        options = {"compression": "NONE", "use_dictionary": False}
        with pq.ParquetWriter(path, table.schema, **options) as writer:
            for _ in groups:
                writer.write_table(table, row_group_size=groups[0])
        size = path.stat().st_size
        file = DataFile(path=path.name, split="train", bytes=size, row_groups=groups, content="")
        files.append(file.model_dump(mode="json"))
    (root / "index").write_text(json.dumps(files))


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "engine"), [("list", "pyarrow"), ("list", "petastorm"), ("table", "petastorm")]
)
def test_a_process_stays_within_the_bound(tmp_path: Path, kind: str, engine: str) -> None:
    write_wide(tmp_path, kind)

    def read(memory: int | None) -> tuple[int, int, int]:
        words = [str(tmp_path), kind, json.dumps(memory), engine]
        done = subprocess.run(
            [sys.executable, "-m", "tests.stream.read_within", *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        taken, predicted, shards = json.loads(done.stdout.splitlines()[-1])
        print(taken >> 20, predicted >> 20, shards)
        return taken, predicted, shards

    taken, _, shards = read(None)
    assert shards >= 16
    assert taken > 400 * MIB
    for memory in (384 * MIB, 256 * MIB, 160 * MIB):
        taken, predicted, shards = read(memory)
        assert shards < 16
        assert taken <= predicted <= memory
