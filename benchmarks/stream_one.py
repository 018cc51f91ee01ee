"""Run one reader in this process, for `stream.py`: `python -m benchmarks.stream_one JOB RESULT`.

It measures from the first call of the reader to the last row; imports, and a first batch of another
reader of the same kind, come before that.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil

from benchmarks.stream_files import CATEGORICAL, NUMERIC, SIDE, Kind, load_index
from headrace.distributed.rank.scheduling import avoid_scheduling_delays

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
READERS = 2  # threads of every reader, on the machine's two cores
STOCK_ROWS = 150_000  # the stock reader is stopped after so many rows: it would take minutes


@dataclass(frozen=True)
class StreamJob:
    """A reader, and what it reads.

    Attributes:
        reader: a key of `READ`.
        kind, folder: the kind of rows, and the folder of their files.
        batch: rows of a batch.
        epochs: number of epochs; of the stock reader a part of one is measured.
    """

    reader: str
    kind: Kind
    folder: str
    batch: int
    epochs: int = 1

    def to_json(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self))


def main() -> None:
    job = StreamJob(**json.loads(sys.argv[1]))
    avoid_scheduling_delays()  # as ranks do
    read = READ[job.reader](job)
    for _ in read(1):  # starts threads, traces functions and fills caches
        break
    gc.collect()  # what imports left: a collection of TensorFlow's modules takes a quarter second
    epoch_rows = sum(file.rows for file in load_index(job.folder))
    process, resident = psutil.Process(), []
    rows, cpu, started = 0, _measure_cpu_seconds(), time.monotonic()
    for count in read(job.epochs):
        rows += count
        if rows >= (len(resident) + 1) * epoch_rows:
            resident.append(round(process.memory_info().rss / 2**20))
        if job.reader == "stock" and rows >= STOCK_ROWS:
            resident.append(round(process.memory_info().rss / 2**20))
            break
    seconds = time.monotonic() - started
    result: dict[str, Any] = {
        "rows": rows,
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds),
        "cpu_seconds": round(_measure_cpu_seconds() - cpu, 2),
        "resident_mib": resident,
    }
    if job.reader in _ENGINES:
        result["bound_mib"] = round(build_stream(job).memory_bytes / 2**20)
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    os._exit(0)  # otherwise Python would wait for the stock reader's threads


def _measure_cpu_seconds() -> float:
    used = psutil.Process().cpu_times()
    return used.user + used.system


def build_columns(kind: Kind) -> Any:
    from headrace.stream.columns import Columns
    from headrace.transform.spec import ModelInput

    label = ModelInput("float32", (), ("label",))
    if kind == "images":
        return Columns({"image": ModelInput("uint8", (SIDE, SIDE, 1), ("image",)), "label": label})
    names = {"numeric": NUMERIC, "categorical": CATEGORICAL}
    kinds = {"numeric": "float32", "categorical": "int32"}
    return Columns(
        {
            name: ModelInput(kinds[name], (count,), tuple(f"{name}{i}" for i in range(count)))
            for name, count in names.items()
        }
        | {"label": label}
    )


# Readers of Headrace, and their engines.
_ENGINES = {
    "numpy": "petastorm",
    "tensorflow": "petastorm",
    "numpy-alone": "pyarrow",
    "tensorflow-alone": "pyarrow",
}


def build_stream(job: StreamJob) -> Any:
    from headrace.stream.plan import choose_block_rows, choose_canonical_shards
    from headrace.stream.split_stream import SplitStream

    columns, files = build_columns(job.kind), load_index(job.folder)
    block_rows = choose_block_rows(columns.row_bytes)
    return SplitStream(
        job.folder,
        files,
        columns,
        rank=0,
        size=1,
        global_batch_size=job.batch,
        canonical_shards=choose_canonical_shards(sum(f.rows for f in files), job.batch, block_rows),
        shuffle=True,
        seed=1,
        readers=READERS,
        block_rows=block_rows,
        engine=_ENGINES[job.reader],
    )


Read = Callable[[int], Iterator[int]]
"""Number of epochs -> rows of each batch of these epochs."""


def _make_pyarrow_reader(job: StreamJob) -> Read:
    """Make the upper limit: row groups into the same matrices, in file order, as many threads."""
    import pyarrow.parquet as pq

    columns = build_columns(job.kind)
    names = columns.list_names()
    row_groups = [(f.path, i) for f in load_index(job.folder) for i in range(len(f.row_groups))]

    def read_row_group(item: tuple[str, int]) -> int:
        with pq.ParquetFile(f"{job.folder}/{item[0]}") as file:
            table = file.read_row_group(item[1], columns=names, use_threads=False)
        matrices = {
            name: np.empty((table.num_rows, *spec.shape), spec.dtype)
            for name, spec in columns.arrays.items()
        }
        for name, spec in columns.arrays.items():
            matrix = matrices[name]
            for position, column in enumerate(spec.columns):
                array = table[column].chunk(0)
                if name == "image":
                    values = np.frombuffer(array.buffers()[1], np.uint8)
                    matrix[...] = values.reshape(matrix.shape)
                elif matrix.ndim == 1:
                    matrix[...] = array.to_numpy()
                else:
                    matrix[:, position] = array.to_numpy()
        return table.num_rows

    def read(epochs: int) -> Iterator[int]:
        with ThreadPoolExecutor(READERS) as pool:
            yield from pool.map(read_row_group, row_groups * epochs)

    return read


def _make_numpy_reader(job: StreamJob) -> Read:
    stream = build_stream(job)

    def read(epochs: int) -> Iterator[int]:
        for batch in stream.read_epochs(range(epochs)):
            yield int(batch["weight"].sum())

    return read


def _make_tensorflow_reader(job: StreamJob) -> Read:
    from headrace.stream.dataset import read_tf_batches

    stream = build_stream(job)

    def read(epochs: int) -> Iterator[int]:
        rows_left = stream.rows
        for batch in read_tf_batches(stream, range(epochs)):
            rows = min(rows_left, len(batch["label"]))  # the rest is padding
            rows_left = rows_left - rows or stream.rows
            yield rows

    return read


def _import_stock_petastorm() -> tuple[Any, Any]:
    """Import Petastorm's own reader and its conversion to tf.data.

    Its worker, thread pool and order are unchanged; names that pyarrow and NumPy removed are
    provided, as `stream/petastorm_api.py` does for the part that Headrace uses.
    """
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    from headrace.stream.petastorm_api import FilePiece

    class Piece(FilePiece):
        def read(self, columns: Any, partitions: Any) -> pa.Table:
            with self.open_file_func(self.path) as source:
                return pq.ParquetFile(source).read_row_group(self.row_group, columns=list(columns))

    # Petastorm can be imported because the module above was imported before.
    modules = {name: import_module(f"petastorm.{name}") for name in _STOCK}
    modules["etl.dataset_metadata"].pq.ParquetDatasetPiece = Piece
    modules["arrow_reader_worker"].pq = modules["reader"].pq
    modules["fs_utils"].pyarrow = SimpleNamespace(localfs=fsspec.filesystem("file"))
    np.string_, np.unicode_ = np.bytes_, np.str_  # type: ignore[attr-defined]
    to_tensorflow = import_module("petastorm.tf_utils").make_petastorm_dataset
    return modules["reader"].make_batch_reader, to_tensorflow


_STOCK = ("reader", "etl.dataset_metadata", "arrow_reader_worker", "fs_utils")


def _make_stock_reader(job: StreamJob) -> Read:
    """Read as Petastorm's README and Horovod's Keras estimator do: unbatch, shuffle, batch."""
    import tensorflow as tf

    make_batch_reader, make_petastorm_dataset = _import_stock_petastorm()
    names = build_columns(job.kind).list_names()
    urls = [f"file://{job.folder}/{file.path}" for file in load_index(job.folder)]

    def stack_columns(row: Any) -> dict[str, tf.Tensor]:
        if job.kind == "images":
            return {"image": tf.io.decode_raw(row.image, tf.uint8), "label": row.label}
        matrices = {
            name: tf.stack([getattr(row, f"{name}{i}") for i in range(count)], axis=-1)
            for name, count in (("numeric", NUMERIC), ("categorical", CATEGORICAL))
        }
        return matrices | {"label": row.label}

    def read(epochs: int) -> Iterator[int]:
        with make_batch_reader(
            urls, schema_fields=names, num_epochs=epochs, workers_count=READERS
        ) as reader:
            dataset = make_petastorm_dataset(reader).unbatch()
            dataset = (
                dataset.shuffle(10 * job.batch).batch(job.batch).map(stack_columns).prefetch(2)
            )
            for batch in dataset:
                yield len(batch["label"])

    return read


def _make_tfrecord_reader(job: StreamJob) -> Read:
    """Read interleaved files, shuffle records, and parse a batch at a time."""
    import tensorflow as tf

    paths = [f"{job.folder}/part-{i}.tfrecord" for i in range(len(load_index(job.folder)))]
    label = tf.io.FixedLenFeature([], tf.float32)
    if job.kind == "images":
        features = {"image": tf.io.FixedLenFeature([], tf.string), "label": label}
    else:
        features = {
            "numeric": tf.io.FixedLenFeature([NUMERIC], tf.float32),
            "categorical": tf.io.FixedLenFeature([CATEGORICAL], tf.int64),
            "label": label,
        }

    def parse_records(records: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(records, features)
        if job.kind == "images":
            pixels = tf.io.decode_raw(parsed["image"], tf.uint8, fixed_length=SIDE * SIDE)
            return {"image": tf.reshape(pixels, (-1, SIDE, SIDE, 1)), "label": parsed["label"]}
        return parsed | {"categorical": tf.cast(parsed["categorical"], tf.int32)}

    def read(epochs: int) -> Iterator[int]:
        dataset = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat(epochs)
        dataset = dataset.interleave(
            tf.data.TFRecordDataset,
            cycle_length=READERS,
            block_length=64,
            num_parallel_calls=READERS,
        )
        dataset = dataset.shuffle(4 * job.batch).batch(job.batch)
        for batch in dataset.map(parse_records, num_parallel_calls=READERS).prefetch(2):
            yield len(batch["label"])

    return read


READ: dict[str, Callable[[StreamJob], Read]] = {
    "pyarrow": _make_pyarrow_reader,
    "numpy": _make_numpy_reader,
    "tensorflow": _make_tensorflow_reader,
    "numpy-alone": _make_numpy_reader,
    "tensorflow-alone": _make_tensorflow_reader,
    "stock": _make_stock_reader,
    "tfrecord": _make_tfrecord_reader,
}

if __name__ == "__main__":
    main()
