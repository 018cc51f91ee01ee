"""Account for the time of a row in the stream, part by part, and write it to docs/performance.md.

    .venv/bin/python -m benchmarks.stream_ledger           # some 2 minutes

Each part is measured by itself on the files of `stream.py`: processor time of one thread, the
median of several row groups. What a row needs at least is the bytes that are moved, at the rate at
which NumPy copies on this machine, and the decoding as pyarrow does it. What it takes in a real run
is measured by `stream_one.py`, with two reader threads; the difference is what threads cost each
other, the interpreter, and memory that is not in the processor's cache.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from benchmarks.report import describe_environment, replace_section
from benchmarks.stream import run_reader
from benchmarks.stream_files import Kind, ensure_files, load_index
from benchmarks.stream_one import StreamJob, build_columns, build_stream
from headrace.lake.checksums import fingerprint_column
from headrace.stream.columns import Columns

_ROWS: dict[Kind, int] = {"table": 2_000_000, "images": 200_000}
_BATCH = 4096
_READERS = ("pyarrow", "numpy", "tensorflow")


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of the real runs.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Of a real run.")] = 5,
    workdir: Annotated[str, typer.Option(help="For the files.")] = "var/benchmarks",
    page: Annotated[str, typer.Option(help="Its section is replaced.")] = "docs/performance.md",
) -> None:
    """Measure the parts of a row's time, and replace the ledger on the page."""
    machine = describe_environment()["machine"]
    lines = [
        f"Made by `python -m benchmarks.stream_ledger` on {machine['cpu']}, "
        f"{machine['cores']} cores, pyarrow {pa.__version__}, NumPy {np.__version__}, "
        f"load {machine['load_average_at_start'][0]} at the start. "
        "Nanoseconds of processor time for each row.",
        "",
    ]
    for kind, rows in _ROWS.items():
        folder = ensure_files(str(Path(workdir).absolute()), kind, rows)
        lines += _describe_kind(kind, folder, rounds, epochs)
    section = replace_section(page, "stream ledger", lines)
    typer.echo(section)


def _describe_kind(kind: Kind, folder: str, rounds: int, epochs: int) -> list[str]:
    columns = build_columns(kind)
    parts = _measure_parts(kind, folder, columns)
    stored, copied = _count_stored_bytes(folder), columns.row_bytes
    rate = _measure_copy_rate()
    least = parts["read and decode"] + copied / rate
    runs: dict[str, list[float]] = {name: [] for name in _READERS}
    for _ in range(rounds):
        for name in _READERS:
            run = run_reader(StreamJob(name, kind, folder, _BATCH, epochs))
            runs[name].append(1e9 * run["cpu_seconds"] / run["rows"])
    real = {name: statistics.median(values) for name, values in runs.items()}
    lines = [
        f"**{kind}**: {stored:.0f} bytes stored, {copied} in arrays; copied at {rate:.1f} GB/s.",
        "",
        "| part | ns | |",
        "|---|--:|---|",
        *(f"| {name} | {ns:.0f} | {_NOTES[name]} |" for name, ns in parts.items()),
        f"| least: decoding and one copy | {least:.0f} | |",
        *(f"| real run: {name} | {ns:.0f} | median of {rounds} |" for name, ns in real.items()),
        "",
    ]
    own = sum(ns for name, ns in parts.items() if name not in _NOT_OURS)
    lines += [
        f"The stream's parts together are {own:.0f}; in a real run it takes "
        f"{real['numpy'] - own:+.0f} as NumPy and {real['tensorflow'] - own:+.0f} as tensors. "
        f"pyarrow / stream: {real['pyarrow'] / real['numpy']:.2f} as NumPy, "
        f"{real['pyarrow'] / real['tensorflow']:.2f} as tensors.",
        "",
    ]
    return lines


_NOTES = {
    "read and decode": "pyarrow, without a checksum",
    "CRC-32 of pages": "as earlier releases verified; not in this one's time",
    "fingerprints": "FarmHash of each column, in their place",
    "fill": "columns into a block's arrays; pyarrow's limit does it too",
    "sums of the block": "compared with those in the footer, and with the batches' at the end",
    "permutation": "of the block's rows",
    "gather": "rows into their place in the batch",
    "sums of the batches": "what was delivered",
    "tensors": "DLPack shares the batch's memory",
}
_NOT_OURS = ("CRC-32 of pages",)


def _measure_parts(kind: Kind, folder: str, columns: Columns) -> dict[str, float]:
    """Measure each part over the first row group of every file, in ns for each row."""
    slice_rows = _BATCH // build_stream(StreamJob("numpy", kind, folder, _BATCH)).canonical_shards
    files = load_index(folder)
    for path in [f"{folder}/{file.path}" for file in files]:
        _measure_file(path, columns, slice_rows)  # takes new memory
    measured = [_measure_file(f"{folder}/{file.path}", columns, slice_rows) for file in files]
    return {name: statistics.median(parts[name] for parts in measured) for name in _NOTES}


def _measure_file(path: str, columns: Columns, slice_rows: int) -> dict[str, float]:
    """Measure each part over a file's first row group, in ns for each row."""
    metadata = pq.read_metadata(path)
    rows = metadata.row_group(0).num_rows
    parts: dict[str, float] = {}

    def measure(name: str, action: Callable[[], Any]) -> Any:
        begin = time.thread_time()
        result = action()
        parts[name] = 1e9 * (time.thread_time() - begin) / rows
        return result

    def read(verified: bool) -> pa.Table:
        with pa.OSFile(path) as source:
            parquet = pq.ParquetFile(source, metadata=metadata, page_checksum_verification=verified)
            return parquet.read_row_group(0, columns=columns.list_names(), use_threads=False)

    read(False)
    measure("CRC-32 of pages", lambda: read(True))
    table = measure("read and decode", lambda: read(False))
    parts["CRC-32 of pages"] -= parts["read and decode"]
    measure("fingerprints", lambda: [fingerprint_column(column) for column in table.columns])
    block = columns.allocate_arrays(rows)
    for array in block.values():
        array.fill(0)  # so that its pages are there
    measure("fill", lambda: columns.fill_arrays(block, 0, table))
    measure("sums of the block", lambda: columns.compute_checksums(block))
    order = measure("permutation", lambda: np.random.default_rng((1, 2)).permutation(rows))
    stack = columns.allocate_arrays((rows // slice_rows, slice_rows))
    for array in stack.values():
        array.fill(0)
    measure("gather", lambda: _gather(block, order, stack))
    measure("sums of the batches", lambda: columns.compute_shard_checksums(stack, 1))
    measure("tensors", lambda: _share(stack, _BATCH // slice_rows))
    return parts


def _gather(block: dict[str, np.ndarray], order: np.ndarray, stack: dict[str, np.ndarray]) -> None:
    for name, array in block.items():
        batches = stack[name]
        width = batches.shape[1]
        for step, batch in enumerate(batches):
            array.take(order[step * width : (step + 1) * width], 0, batch, "clip")


def _share(stack: dict[str, np.ndarray], slices: int) -> None:
    """Share a batch of so many slices, as often as the stack has one."""
    import tensorflow as tf

    for step in range(len(stack["label"]) // slices):
        for array in stack.values():
            tf.experimental.dlpack.from_dlpack(array[step].__dlpack__())


def _count_stored_bytes(folder: str) -> float:
    files = load_index(folder)
    return sum(file.bytes for file in files) / sum(sum(file.row_groups) for file in files)


def _measure_copy_rate(size: int = 32 * 2**20) -> float:
    """Measure how fast NumPy copies arrays that are in no cache, in GB/s."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    seconds = []
    for _ in range(7):
        begin = time.thread_time()
        np.copyto(target, source)
        seconds.append(time.thread_time() - begin)
    return size / statistics.median(seconds) / 1e9


if __name__ == "__main__":
    typer.run(main)
