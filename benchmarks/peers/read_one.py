"""Run another project's reader, for `stream.py`: `python -m benchmarks.peers.read_one JOB RESULT`.

It runs where that project is installed and Headrace is not. All read the table's rows from the same
Parquet files (MosaicML Streaming from its own format, into which they are copied before) and hand
over the same batches: matrices `numeric` and `categorical` and the array `label`, shuffled in as
many rows as Headrace's blocks and batches have room for, fewer where rows take more than that.
Each is written as its documentation shows it, with two threads or processes.
"""

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

NUMERIC, CATEGORICAL = 13, 26
_READERS = 2  # threads or processes of every reader, on the machine's two cores
_MAX_SECONDS = 60  # a reader that is slower than that is measured by what it has read then
# Where a row in a buffer is a dict of Python, as many take some hundred MiB.
_OBJECT_ROWS = 10_000
_NAMES = {
    "numeric": [f"numeric{i}" for i in range(NUMERIC)],
    "categorical": [f"categorical{i}" for i in range(CATEGORICAL)],
}
_COLUMNS = [*_NAMES["numeric"], *_NAMES["categorical"], "label"]

Batch = Mapping[str, np.ndarray]
Read = Callable[[int], Iterator[Batch]]
"""Seed of the order -> the batches of an epoch."""


@dataclass(frozen=True)
class PeerJob:
    """A reader, and what it reads.

    Attributes:
        reader: a key of `READ`.
        folder: with the Parquet files.
        scratch: a folder for what the reader writes; it may be there from an earlier run.
        rows: of all files.
        batch: rows of a batch.
        shuffle_rows: rows among which the order is drawn.
        epochs: number of epochs.
    """

    reader: str
    folder: str
    scratch: str
    rows: int
    batch: int
    shuffle_rows: int
    epochs: int

    def to_json(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))


def main() -> None:
    """Measure the reader from its first call to its last row, after a first batch of another."""
    job = PeerJob(**json.loads(sys.argv[1]))
    read = READ[job.reader](job)
    for batch in read(0):
        _check_batch(batch, job)
        break
    gc.collect()
    rows, label, seconds_at = 0, 0.0, []
    cpu, started = _measure_cpu_seconds(), time.monotonic()
    deadline = started + _MAX_SECONDS
    for epoch in range(job.epochs):
        for batch in read(epoch + 1):
            rows += len(batch["label"])
            label += float(batch["label"].sum())
            if time.monotonic() > deadline:
                break
        else:
            seconds_at.append(time.monotonic() - started)
            if rows != (epoch + 1) * job.rows:
                raise SystemExit(f"{job.reader}: {rows:,} rows in {epoch + 1} epochs")
            continue
        break
    seconds = time.monotonic() - started
    result = {
        "rows": rows,
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds),
        "cpu_seconds": round(_measure_cpu_seconds() - cpu, 2),
        "resident_mib": [_measure_memory()],
        "label": label / rows,
    }
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    sys.stdout.flush()
    _end_children()
    os._exit(0)


def _check_batch(batch: Batch, job: PeerJob) -> None:
    """Check that a batch is what a network takes, and that its rows are in another order."""
    rows = min(job.batch, job.rows)
    shapes = {
        "numeric": ((rows, NUMERIC), "float32"),
        "categorical": ((rows, CATEGORICAL), "int32"),
        "label": ((rows,), "float32"),
    }
    for name, (shape, dtype) in shapes.items():
        if batch[name].shape != shape or batch[name].dtype != dtype:
            raise SystemExit(f"{job.reader}: {name} is {batch[name].shape} {batch[name].dtype}")
    import pyarrow.parquet as pq

    with pq.ParquetFile(_list_files(job)[0]) as file:
        first = file.read_row_group(0, columns=["numeric0"])["numeric0"].to_numpy()
    if np.array_equal(batch["numeric"][: len(first), 0], first[:rows]):
        raise SystemExit(f"{job.reader}: rows come in the order of the files")


def _list_files(job: PeerJob) -> list[str]:
    return sorted(map(str, Path(job.folder).glob("*.parquet")))


def _stack_columns(columns: Mapping[str, Any]) -> Batch:
    """Stack single columns into the matrices of a batch; some readers make integers wider."""
    kinds = {"numeric": np.float32, "categorical": np.int32}
    batch = {
        name: np.stack([np.asarray(columns[n]) for n in names], axis=1).astype(
            kinds[name], copy=False
        )
        for name, names in _NAMES.items()
    }
    return {**batch, "label": np.asarray(columns["label"])}


def _make_ray_reader(job: PeerJob) -> Read:
    """Read with Ray Data, and shuffle in its local buffer."""
    import ray

    ray.init(num_cpus=_READERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False

    def read(seed: int) -> Iterator[Batch]:
        rows = ray.data.read_parquet(_list_files(job), columns=_COLUMNS)
        for columns in rows.iter_batches(
            batch_size=job.batch,
            batch_format="numpy",
            local_shuffle_buffer_size=max(0, job.shuffle_rows - job.batch),
            local_shuffle_seed=seed,
        ):
            yield _stack_columns(columns)

    return read


def _make_hf_streaming_reader(job: PeerJob) -> Read:
    """Stream with Hugging Face datasets, and shuffle in its buffer of examples."""
    import datasets

    def read(seed: int) -> Iterator[Batch]:
        rows = datasets.load_dataset(
            "parquet", data_files=_list_files(job), split="train", streaming=True
        )
        shuffled = rows.shuffle(seed=seed, buffer_size=_OBJECT_ROWS).with_format("arrow")
        for table in shuffled.iter(batch_size=job.batch):  # faster than as NumPy, or as lists
            yield _stack_columns({name: table[name].to_numpy() for name in _COLUMNS})

    return read


def _make_hf_arrow_reader(job: PeerJob) -> Read:
    """Copy the files into Hugging Face's Arrow cache before, and read that in a random order."""
    import datasets

    rows = datasets.load_dataset(
        "parquet", data_files=_list_files(job), split="train", cache_dir=f"{job.scratch}/hf"
    )

    def read(seed: int) -> Iterator[Batch]:
        shuffled = rows.shuffle(seed=seed, keep_in_memory=True).with_format("arrow")
        for table in shuffled.iter(batch_size=job.batch):
            yield _stack_columns({name: table[name].to_numpy() for name in _COLUMNS})

    return read


def _read_matrices(job: PeerJob) -> Batch:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(_READERS)
    table = pa.concat_tables(pq.read_table(file, columns=_COLUMNS) for file in _list_files(job))
    return _stack_columns({name: table[name].to_numpy() for name in _COLUMNS})


def _make_grain_reader(job: PeerJob) -> Read:
    """Read all rows into memory, and take them from there one by one, as grain's sources do."""
    import grain

    class Rows:
        def __init__(self) -> None:
            self._matrices = _read_matrices(job)

        def __len__(self) -> int:
            return job.rows

        def __getitem__(self, index: Any) -> dict[str, Any]:
            return {name: matrix[index] for name, matrix in self._matrices.items()}

    options = grain.ReadOptions(num_threads=_READERS)

    def read(seed: int) -> Iterator[Batch]:
        rows = grain.MapDataset.source(Rows()).shuffle(seed=seed).batch(job.batch)
        yield from rows.to_iter_dataset(options)

    return read


def _make_grain_windows_reader(job: PeerJob) -> Read:
    """Read rows of Parquet with grain, interleaved, and shuffle in its windows."""
    import grain

    def read(seed: int) -> Iterator[Batch]:
        rows = grain.experimental.ParquetIterDataset(_list_files(job))
        shuffled = grain.experimental.WindowShuffleIterDataset(
            rows, window_size=_OBJECT_ROWS, seed=seed
        )
        for columns in shuffled.batch(job.batch):
            yield _stack_columns(columns)

    return read


def _make_grain_positions_reader(job: PeerJob) -> Read:
    """Have grain shuffle positions alone, and gather a batch's rows from memory at once.

    Nothing in its documentation shows this; it is the fastest that was found.
    """
    import grain

    options = grain.ReadOptions(num_threads=_READERS)

    def read(seed: int) -> Iterator[Batch]:
        matrices = _read_matrices(job)

        def gather(positions: Any) -> Batch:
            index = np.asarray(positions)
            return {name: matrix.take(index, axis=0) for name, matrix in matrices.items()}

        rows = grain.MapDataset.range(job.rows).shuffle(seed=seed)
        yield from rows.batch(job.batch, batch_fn=gather).to_iter_dataset(options)

    return read


def _make_mosaicml_reader(job: PeerJob) -> Read:
    """Read MosaicML's own format with its dataset and PyTorch's loader, shuffled in blocks."""
    import streaming
    import torch

    folder = Path(job.scratch, "mds")
    if not folder.exists():
        _write_mosaicml_shards(job, folder)
    streaming.base.util.clean_stale_shared_memory()

    def collate(rows: list[dict[str, Any]]) -> Batch:
        names = ("numeric", "categorical", "label")
        return {name: np.stack([row[name] for row in rows]) for name in names}

    def read(seed: int) -> Iterator[Batch]:
        rows = streaming.StreamingDataset(
            local=str(folder),
            batch_size=job.batch,
            shuffle=True,
            shuffle_seed=seed,
            shuffle_block_size=job.shuffle_rows,
        )
        loader = torch.utils.data.DataLoader(
            rows, batch_size=job.batch, num_workers=_READERS, collate_fn=collate
        )
        yield from loader

    return read


def _write_mosaicml_shards(job: PeerJob, folder: Path) -> None:
    import shutil

    import streaming

    kinds = {
        "numeric": f"ndarray:float32:{NUMERIC}",
        "categorical": f"ndarray:int32:{CATEGORICAL}",
        "label": "float32",
    }
    aside = folder.with_name("mds.aside")
    shutil.rmtree(aside, ignore_errors=True)
    matrices = _read_matrices(job)
    with streaming.MDSWriter(out=str(aside), columns=kinds) as writer:
        for row in range(job.rows):
            writer.write({name: matrix[row] for name, matrix in matrices.items()})
    aside.rename(folder)


def _measure_cpu_seconds() -> float:
    total = 0.0
    for process in _list_processes():
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _measure_memory() -> int:
    """Return the MiB of all processes; memory that several share counts once."""
    total = 0
    for process in _list_processes():
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return round(total / 2**20)


def _list_processes() -> list[psutil.Process]:
    own = psutil.Process()
    return [own, *own.children(recursive=True)]


def _end_children() -> None:
    for process in _list_processes()[1:]:
        with contextlib.suppress(psutil.Error):
            process.kill()


READ: dict[str, Callable[[PeerJob], Read]] = {
    "ray": _make_ray_reader,
    "hf-streaming": _make_hf_streaming_reader,
    "hf-arrow": _make_hf_arrow_reader,
    "grain": _make_grain_reader,
    "grain-windows": _make_grain_windows_reader,
    "grain-positions": _make_grain_positions_reader,
    "mosaicml": _make_mosaicml_reader,
}

if __name__ == "__main__":
    main()
