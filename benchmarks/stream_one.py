"""One reader's run in this process, for `stream.py`: `python -m benchmarks.stream_one JOB RESULT`.

Measured from the first call of the reader to the last row; imports, and a first batch read by a
reader that is thrown away, come before it.
"""

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

from benchmarks.stream_files import CATEGORICAL, NUMERIC, SIDE, Kind, index_of

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
READERS = 2  # threads of every reader, on the machine's two cores
STOCK_ROWS = 150_000  # the stock road is stopped after so many rows: it would take minutes


@dataclass(frozen=True)
class StreamJob:
    """What to read and how.

    Attributes:
        reader: a key of `READ`.
        kind, folder: the files.
        batch: rows.
        epochs: how often everything is read; of the stock road a part of one is.
    """

    reader: str
    kind: Kind
    folder: str
    batch: int
    epochs: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def main() -> None:
    job = StreamJob(**json.loads(sys.argv[1]))
    read = READ[job.reader](job)
    for _ in read(1):  # threads, functions and caches are there
        break
    in_epoch = sum(file.rows for file in index_of(job.folder))
    process, resident = psutil.Process(), []
    rows, cpu, started = 0, _cpu(), time.monotonic()
    for count in read(job.epochs):
        rows += count
        if rows >= (len(resident) + 1) * in_epoch:
            resident.append(round(process.memory_info().rss / 2**20))
        if job.reader == "stock" and rows >= STOCK_ROWS:
            resident.append(round(process.memory_info().rss / 2**20))
            break
    seconds = time.monotonic() - started
    result: dict[str, Any] = {
        "rows": rows,
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds),
        "cpu_seconds": round(_cpu() - cpu, 2),
        "resident_mib": resident,
    }
    if job.reader in ("numpy", "tensorflow"):
        result["bound_mib"] = round(_stream(job).memory_bytes / 2**20)
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    os._exit(0)  # the stock road's threads would be waited for


def _cpu() -> float:
    used = psutil.Process().cpu_times()
    return used.user + used.system


def _columns(kind: Kind) -> Any:
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


def _stream(job: StreamJob) -> Any:
    from headrace.stream.plan import fitting_rows, fitting_shards
    from headrace.stream.split_stream import SplitStream

    columns, files = _columns(job.kind), index_of(job.folder)
    block_rows = fitting_rows(columns.row_bytes)
    return SplitStream(
        job.folder,
        files,
        columns,
        rank=0,
        size=1,
        global_batch_size=job.batch,
        canonical_shards=fitting_shards(sum(f.rows for f in files), job.batch, block_rows),
        shuffle=True,
        seed=1,
        readers=READERS,
        block_rows=block_rows,
    )


Read = Callable[[int], Iterator[int]]
"""Rows that come at once, of so many epochs."""


def _pyarrow(job: StreamJob) -> Read:
    """The limit: row groups into the same matrices, in file order, by as many threads."""
    import pyarrow.parquet as pq

    columns = _columns(job.kind)
    names = columns.names()
    work = [(f.path, i) for f in index_of(job.folder) for i in range(len(f.row_groups))]

    def one(item: tuple[str, int]) -> int:
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
            yield from pool.map(one, work * epochs)

    return read


def _numpy(job: StreamJob) -> Read:
    stream = _stream(job)

    def read(epochs: int) -> Iterator[int]:
        for batch in stream.epochs(range(epochs)):
            yield int(batch["weight"].sum())

    return read


def _tensorflow(job: StreamJob) -> Read:
    from headrace.stream.dataset import tf_batches

    stream = _stream(job)

    def read(epochs: int) -> Iterator[int]:
        left = stream.rows
        for batch in tf_batches(stream, range(epochs)):
            rows = min(left, len(batch["label"]))  # the rest is padding
            left = left - rows or stream.rows
            yield rows

    return read


def _stock_petastorm() -> tuple[Any, Any]:
    """Return Petastorm's own reader and its way to tf.data, with the names that they lack today.

    Its worker, its thread pool and its order are as they are; what pyarrow and NumPy removed is put
    in its place, as `stream/petastorm_api.py` does for the part that Headrace uses.
    """
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    from headrace.stream.petastorm_api import FilePiece

    class Piece(FilePiece):
        def read(self, columns: Any, partitions: Any) -> pa.Table:
            with self.open_file_func(self.path) as source:
                return pq.ParquetFile(source).read_row_group(self.row_group, columns=list(columns))

    # Once the module above was imported, Petastorm can be.
    parts = {name: import_module(f"petastorm.{name}") for name in _STOCK}
    parts["etl.dataset_metadata"].pq.ParquetDatasetPiece = Piece
    parts["arrow_reader_worker"].pq = parts["reader"].pq
    parts["fs_utils"].pyarrow = SimpleNamespace(localfs=fsspec.filesystem("file"))
    np.string_, np.unicode_ = np.bytes_, np.str_  # type: ignore[attr-defined]
    to_tensorflow = import_module("petastorm.tf_utils").make_petastorm_dataset
    return parts["reader"].make_batch_reader, to_tensorflow


_STOCK = ("reader", "etl.dataset_metadata", "arrow_reader_worker", "fs_utils")


def _stock(job: StreamJob) -> Read:
    """As Petastorm's README and Horovod's Keras estimator do it: unbatch, shuffle, batch."""
    import tensorflow as tf

    make_batch_reader, make_petastorm_dataset = _stock_petastorm()
    names = _columns(job.kind).names()
    urls = [f"file://{job.folder}/{file.path}" for file in index_of(job.folder)]

    def matrices(row: Any) -> dict[str, tf.Tensor]:
        if job.kind == "images":
            return {"image": tf.io.decode_raw(row.image, tf.uint8), "label": row.label}
        parts = {
            name: tf.stack([getattr(row, f"{name}{i}") for i in range(count)], axis=-1)
            for name, count in (("numeric", NUMERIC), ("categorical", CATEGORICAL))
        }
        return parts | {"label": row.label}

    def read(epochs: int) -> Iterator[int]:
        with make_batch_reader(
            urls, schema_fields=names, num_epochs=epochs, workers_count=READERS
        ) as reader:
            dataset = make_petastorm_dataset(reader).unbatch()
            dataset = dataset.shuffle(10 * job.batch).batch(job.batch).map(matrices).prefetch(2)
            for batch in dataset:
                yield len(batch["label"])

    return read


def _tfrecord(job: StreamJob) -> Read:
    """Files interleaved and shuffled by record, parsed a batch at a time."""
    import tensorflow as tf

    paths = [f"{job.folder}/part-{i}.tfrecord" for i in range(len(index_of(job.folder)))]
    label = tf.io.FixedLenFeature([], tf.float32)
    if job.kind == "images":
        features = {"image": tf.io.FixedLenFeature([], tf.string), "label": label}
    else:
        features = {
            "numeric": tf.io.FixedLenFeature([NUMERIC], tf.float32),
            "categorical": tf.io.FixedLenFeature([CATEGORICAL], tf.int64),
            "label": label,
        }

    def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.io.parse_example(records, features)
        if job.kind == "images":
            pixels = tf.io.decode_raw(found["image"], tf.uint8, fixed_length=SIDE * SIDE)
            return {"image": tf.reshape(pixels, (-1, SIDE, SIDE, 1)), "label": found["label"]}
        return found | {"categorical": tf.cast(found["categorical"], tf.int32)}

    def read(epochs: int) -> Iterator[int]:
        dataset = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat(epochs)
        dataset = dataset.interleave(
            tf.data.TFRecordDataset,
            cycle_length=READERS,
            block_length=64,
            num_parallel_calls=READERS,
        )
        dataset = dataset.shuffle(4 * job.batch).batch(job.batch)
        for batch in dataset.map(parse, num_parallel_calls=READERS).prefetch(2):
            yield len(batch["label"])

    return read


READ: dict[str, Callable[[StreamJob], Read]] = {
    "pyarrow": _pyarrow,
    "numpy": _numpy,
    "tensorflow": _tensorflow,
    "stock": _stock,
    "tfrecord": _tfrecord,
}

if __name__ == "__main__":
    main()
