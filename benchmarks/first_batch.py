"""Measure how soon a stream of bounded memory gives its first batch, beside pyarrow's own decoding.

    python -m benchmarks.growth --figures first_batch

Files of 40 columns are read by one rank with one reader thread, and `stream.memory` bounds what it
holds. Both times are processor seconds, taken one after the other in the same run.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_COLUMNS, _BATCH = 40, 1024
_ROWS = 2**19
_MEMORY = 96 * 2**20
_TIMES = 3


def measure_first_batch(rows: int) -> dict[str, float]:
    """Read the first batch of half a million rows, in row groups of so many.

    Returns:
        `bytes`: decoded before the first batch, and `of_memory`, their part of `stream.memory`;
        `seconds` until it, and `decode_seconds` in which pyarrow alone reads the same row groups;
        `of_third`: the seconds as a part of those in which pyarrow reads a third of the memory,
        which are the most that a first batch may take.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-first-batch-") as folder:
        root = Path(folder)
        stream = _make_stream(root, _write_file(root, rows))
        groups = _list_first_row_groups(stream)
        size = rows * 4 * _COLUMNS * len(groups)
        pairs = [(_time_first_batch(stream), _time_decoding(root, groups)) for _ in range(_TIMES)]
    seconds, decode_seconds = (min(times) for times in zip(*pairs, strict=True))
    return {
        "bytes": size,
        "of_memory": size / _MEMORY,
        "seconds": seconds,
        "decode_seconds": decode_seconds,
        "of_third": seconds / (_MEMORY / 3 / (size / decode_seconds)),
    }


def _write_file(root: Path, rows: int) -> Any:
    """Write the file of all rows, with checksums as builds record them."""
    from headrace.lake.checksums import compute_checksums
    from headrace.lake.data_file import DataFile

    rng = np.random.default_rng(0)
    table = pa.table({f"x{n}": rng.random(_ROWS, np.float32) for n in range(_COLUMNS)})
    row_groups = [rows] * (_ROWS // rows)
    schema = table.schema.with_metadata(compute_checksums(table, row_groups))
    path = root / "part-0.parquet"
    with pq.ParquetWriter(path, schema, use_dictionary=False, write_page_checksum=True) as writer:
        writer.write_table(table, row_group_size=rows)
    return DataFile(
        path=path.name, split="train", bytes=path.stat().st_size, row_groups=tuple(row_groups),
        content="",
    )  # fmt: skip


def _make_stream(root: Path, file: Any) -> Any:
    from headrace.stream.columns import Columns
    from headrace.stream.memory import choose_shape
    from headrace.stream.split_stream import SplitStream, measure_split
    from headrace.transform.spec import ModelInput

    names = tuple(f"x{number}" for number in range(_COLUMNS))
    columns = Columns({"numeric": ModelInput("float32", (_COLUMNS,), names)})
    shape = choose_shape(measure_split((file,), columns, _BATCH), memory=_MEMORY)
    return SplitStream(
        str(root), (file,), columns, rank=0, size=1, global_batch_size=_BATCH,
        canonical_shards=shape.canonical_shards, shuffle=True, seed=1, readers=1,
        block_rows=shape.block_rows, memory=_MEMORY, engine="pyarrow",
    )  # fmt: skip


def _list_first_row_groups(stream: Any) -> list[int]:
    """List the row groups that hold the rows of the first stack of batches, as the plan says, one
    that two shards share once."""
    from headrace.stream.plan import assign_shards
    from headrace.stream.split_stream import choose_steps_per_stack

    plan = stream.plan_epoch(0)
    end = choose_steps_per_stack(stream) * plan.slice_rows
    shards = assign_shards(stream.canonical_shards, 0, 1)
    needed = (
        item.row_group
        for shard in shards
        for block in plan.shards[shard]
        if block.first_row < end
        for item in block.ranges
    )
    return list(dict.fromkeys(needed))


def _time_first_batch(stream: Any) -> float:
    started = time.process_time()
    batches = stream.read_batches(epoch=0)
    next(batches)
    seconds = time.process_time() - started
    batches.close()
    return seconds


def _time_decoding(root: Path, groups: list[int]) -> float:
    started = time.process_time()
    file = pq.ParquetFile(root / "part-0.parquet", page_checksum_verification=True)
    for group in groups:
        file.read_row_group(group, use_threads=False)
    return time.process_time() - started
