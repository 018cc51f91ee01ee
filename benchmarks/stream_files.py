"""Write the same rows as Parquet and as TFRecord, for `stream.py`."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.checksums import (
    compute_checksums,
    compute_footer_checksum,
    read_footer_bytes,
)
from headrace.lake.data_file import DataFile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
Kind = Literal["table", "images"]
FILES, NUMERIC, CATEGORICAL, SIDE = 8, 13, 26, 28
ROW_GROUP = 31_250
_FORMAT = 2  # in the folder's name: files that were cached without fingerprints are written again


def choose_row_group_rows(rows: int) -> int:
    """Choose the rows of a row group: 31,250 at 2 million rows, with 8 or more groups per file."""
    return min(ROW_GROUP, max(1, rows // (FILES * 8)))


def ensure_files(workdir: str, kind: Kind, rows: int) -> str:
    """Ensure that the files exist, read each of them into the page cache, and return their folder.

    `index.json` is written last.
    """
    folder = Path(workdir) / "stream" / f"{kind}-{rows}-{_FORMAT}"
    if not (folder / "index.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Fresh processes: TensorFlow's threads do not survive a fork.
        with ProcessPoolExecutor(2, mp_context=_get_spawn_context()) as pool:
            jobs = [(str(folder), kind, rows, number) for number in range(FILES)]
            files = list(pool.map(_write_part, jobs))
        (folder / "index.json").write_text(json.dumps(files), encoding="utf-8")
    for path in sorted(folder.iterdir()):
        path.read_bytes()
    return str(folder)


def load_index(folder: str) -> tuple[DataFile, ...]:
    """Load the index of the Parquet files."""
    return tuple(
        DataFile.model_validate(file)
        for file in json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))
    )


def _get_spawn_context():  # type: ignore[no-untyped-def]
    import multiprocessing

    return multiprocessing.get_context("spawn")


def _write_part(job: tuple[str, Kind, int, int]) -> dict[str, object]:
    folder, kind, rows, number = job
    count = rows // FILES
    arrays = _generate_arrays(kind, number, count)
    path = Path(folder) / f"part-{number}.parquet"
    file = _write_parquet(path, kind, arrays, choose_row_group_rows(rows))
    _write_tfrecord(Path(folder) / f"part-{number}.tfrecord", kind, arrays)
    return file.model_dump(mode="json")


def _generate_arrays(kind: Kind, number: int, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    label = rng.integers(0, 2, rows).astype(np.float32)
    if kind == "images":
        return {"image": rng.integers(0, 256, (rows, SIDE * SIDE), np.uint8), "label": label}
    return {
        "numeric": rng.normal(size=(rows, NUMERIC)).astype(np.float32),
        "categorical": np.minimum(rng.zipf(1.3, (rows, CATEGORICAL)), 50_000).astype(np.int32),
        "label": label,
    }


def _write_parquet(path: Path, kind: Kind, arrays: dict[str, np.ndarray], group: int) -> DataFile:
    columns: dict[str, pa.Array] = {}
    for name, array in arrays.items():
        if name == "image":
            flat = pa.py_buffer(np.ascontiguousarray(array))
            width = pa.binary(array.shape[1])
            columns[name] = pa.FixedSizeBinaryArray.from_buffers(width, len(array), [None, flat])
        elif array.ndim == 1:
            columns[name] = pa.array(array)
        else:
            for i in range(array.shape[1]):
                columns[f"{name}{i}"] = pa.array(np.ascontiguousarray(array[:, i]))
    table = pa.table(columns)
    begins = range(0, table.num_rows, group)
    parts = [table.slice(begin, group) for begin in begins]
    sizes = [part.num_rows for part in parts]
    schema = table.schema.with_metadata(compute_checksums(table, sizes))
    ids = [name for name in columns if name.startswith("categorical")]
    with pq.ParquetWriter(path, schema, use_dictionary=ids, write_page_checksum=True) as writer:
        for part in parts:
            writer.write_table(part.replace_schema_metadata(None), row_group_size=part.num_rows)
    with path.open("rb") as source:
        footer = compute_footer_checksum(read_footer_bytes(source))
    size = path.stat().st_size
    return DataFile(
        path=path.name, split="train", bytes=size, row_groups=sizes, content="", footer=footer
    )


def _write_tfrecord(path: Path, kind: Kind, arrays: dict[str, np.ndarray]) -> None:
    """Write a feature per array, which parses faster than one per column."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in _serialize_examples(kind, arrays):
            writer.write(example)


def _serialize_examples(kind: Kind, arrays: dict[str, np.ndarray]) -> Iterator[bytes]:
    import tensorflow as tf

    feature, train = tf.train.Feature, tf.train
    for row in range(len(arrays["label"])):
        label = feature(float_list=train.FloatList(value=[arrays["label"][row]]))
        if kind == "images":
            image = feature(bytes_list=train.BytesList(value=[arrays["image"][row].tobytes()]))
            features = {"image": image, "label": label}
        else:
            numeric = feature(float_list=train.FloatList(value=arrays["numeric"][row]))
            ids = feature(int64_list=train.Int64List(value=arrays["categorical"][row]))
            features = {"numeric": numeric, "categorical": ids, "label": label}
        example = train.Example(features=train.Features(feature=features))
        yield example.SerializeToString()
