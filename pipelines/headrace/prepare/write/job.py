"""Transform the gathered rows and write them as Parquet, inside Spark's tasks: the second job.

Writing in the task itself gives exact row groups and tells the driver which files are whole. A
task that dies leaves a file that no commit names. Rows come in pseudo-random order, so readers may
take row groups as they lie.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.lake.checksums import CHECKSUMS, checksums_of, footer_bytes, footer_checksum
from headrace.lake.data_file import SPLITS, DataFile
from headrace.lake.histogram import Axis
from headrace.lake.profile import FileTally
from headrace.lake.storage import open_files, reaching
from headrace.prepare.shuffle.arrow_blobs import (
    BLOB_DDL,
    ORDERED,
    ROWS,
    blob_batch,
    by_target,
    forget_archives,
)
from headrace.prepare.shuffle.file_buffers import in_order
from headrace.prepare.shuffle.partitioner import Layout
from headrace.prepare.shuffle.reduce import missing_values
from headrace.prepare.write.sample_rows import picked, together
from headrace.prepare.write.schema import KEPT_TYPES, file_schema
from headrace.prepare.write.tally import LABEL_COLUMN, tally_of
from headrace.source.dictionaries import decoded
from headrace.source.internal_columns import BASELINE, BUCKET, LABEL, ROW_ID, WEIGHT
from headrace.transform.arrow import ArrowTransform
from headrace.transform.multi_label import as_matrix
from headrace.transform.spec import LabelSpec, RawKind, TransformSpec
from headrace.transform.statistics import read_ipc

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Columns = dict[str, Any]
"""NumPy arrays by name, and of what is kept as it was read Arrow's."""

_FILE, _TALLY, _UNSEEN, _EXAMPLES = "file", "tally", "unseen", "examples"


@dataclass(frozen=True)
class Writing:
    """What the tasks of the second job need to know, apart from the transform.

    Attributes:
        root: the dataset's folder or URL, seen by every executor.
        build_id: goes into the files' names.
        rows_per_row_group: rows of every row group but a file's last.
        layout: which files belong to which source partition.
        seed: of the order of rows.
        names: of the source partitions.
        raw: raw columns whose missing values are counted.
        axes: distributions to count.
        class_weights: factor of the loss by class ("true" and "false" for a condition), or empty.
        kept: raw columns that are published as they are -> kind.
        examples: raw rows that are wanted of all rows.
    """

    root: str
    build_id: str
    rows_per_row_group: int
    layout: Layout
    seed: int
    names: tuple[str, ...]
    raw: tuple[str, ...]
    axes: tuple[Axis, ...]
    class_weights: dict[str, float]
    kept: dict[str, RawKind] = field(default_factory=dict)
    examples: int = 0

    def examples_of(self, target: int) -> int:
        """Raw rows that a target gives as examples."""
        if not self.examples or target % max(1, self.layout.files // self.examples):
            return 0
        return -(-self.examples // self.layout.files)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        files: by path.
        tallies: counts of the rows in each of them.
        unseen: source partition -> rows of validation and test whose class the train split does not
            have, left out.
        examples: raw rows that are in the dataset, as a Parquet file; None where there are none.
    """

    files: list[DataFile]
    tallies: list[FileTally]
    unseen: Counter[str]
    examples: bytes | None = None


def write_files(blobs: "DataFrame", spec: TransformSpec, writing: Writing) -> Written:
    """Write the rows of every split, a file a split and target.

    Args:
        blobs: as `gather.gathered` makes them, kept by Spark.
        spec: the fitted transform.
        writing: where and how.
    """
    import pyspark.sql.functions as F

    context = blobs.sparkSession.sparkContext
    shared = context.broadcast((writing, spec.to_json()))
    try:
        rows = blobs.where(F.col("kind") == ROWS).mapInArrow(_writer(shared), BLOB_DDL)
        collected = rows.collect()
    finally:
        shared.unpersist()
    files: list[DataFile] = []
    tallies: list[FileTally] = []
    unseen = Counter[str]()
    examples: list[tuple[int, bytes]] = []
    for row in collected:
        if row["kind"] == _FILE:
            files.append(DataFile.model_validate_json(bytes(row["blob"])))
        elif row["kind"] == _TALLY:
            tallies += FileTally.read_all(bytes(row["blob"]))
        elif row["kind"] == _EXAMPLES:
            examples.append((row["target"], bytes(row["blob"])))
        else:
            unseen[row["name"]] += int(bytes(row["blob"]))
    return Written(
        files=sorted(files, key=lambda f: f.path),
        tallies=tallies,
        unseen=+unseen,
        examples=together([blob for _, blob in sorted(examples)], writing.examples),
    )


@lru_cache(maxsize=1)
def _transform_of(text: str) -> ArrowTransform:
    """Made once a Python worker: a vocabulary may have millions of values."""
    return ArrowTransform(TransformSpec.from_json(text))


def _writer(shared: Any) -> Callable[..., Iterator[pa.RecordBatch]]:
    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        forget_archives()
        writing, text = shared.value
        transform = _transform_of(text)
        context = TaskContext.get()
        attempt = context.attemptNumber() if context else 0
        for target, group in by_target(batches):
            pieces = [read_ipc(row[3]) for row in group]
            ordered = [row[1] for row in group] == [ORDERED]
            rows = pieces[0] if ordered else in_order(pieces, writing.seed)
            partition = writing.names[writing.layout.partition_of(target)]
            yield blob_batch(_written(rows, target, attempt, partition, transform, writing))

    return write


def _written(
    rows: pa.Table,
    target: int,
    attempt: int,
    partition: str,
    transform: ArrowTransform,
    writing: Writing,
) -> list[tuple[str, str, int, bytes]]:
    """Write the files of a target; what they are, what is in them, and rows left out."""
    out = []
    rows, columns, bucket, unseen = _transformed(rows, transform, writing)
    missing_values_of = {name: missing_values(rows[name]) for name in writing.raw}
    for number, split in enumerate(SPLITS):
        begin, end = (int(i) for i in np.searchsorted(bucket, [number, number + 1]))
        if end > begin:
            part = {n: values[begin:end] for n, values in columns.items()}
            path = f"split={split}/part-{writing.build_id}-{target:05d}-{attempt}.parquet"
            file = _write_file(part, split, path, transform.spec, writing)
            file = file.model_copy(update={"partition": partition})
            missing = {n: int(m[begin:end].sum()) for n, m in missing_values_of.items()}
            tally = tally_of(path, part, writing.axes, missing)
            out.append((_FILE, "", target, file.model_dump_json().encode()))
            out.append((_TALLY, "", target, FileTally.write_all([tally])))
    if unseen:
        out.append((_UNSEEN, partition, target, str(unseen).encode()))
    if rows.num_rows and (wanted := writing.examples_of(target)):
        out.append((_EXAMPLES, "", target, picked(rows, transform.spec, wanted)))
    return out


def _transformed(
    rows: pa.Table, transform: ArrowTransform, writing: Writing
) -> tuple[pa.Table, Columns, np.ndarray, int]:
    """The raw rows that stay, the dataset's columns of them, their buckets; and rows left out."""
    spec = transform.spec
    label, unseen = labels_of(rows[LABEL], spec.label)
    if unseen.any():
        rows, label = rows.filter(pa.array(~unseen)), label[~unseen]
    # All splits at once: every vocabulary is made ready to be searched once a target.
    columns: Columns = {"row_id": rows[ROW_ID].to_numpy()}
    columns |= transform(rows)
    columns[LABEL_COLUMN] = label
    if spec.label.weighted:
        columns["sample_weight"] = _weights(rows, label, spec.label, writing.class_weights)
    if spec.label.baseline:
        columns["baseline"] = rows[BASELINE].to_numpy().astype(np.float32)
    for name, kind in writing.kept.items():
        columns[f"kept_{name}"] = decoded(rows[name]).cast(KEPT_TYPES[kind])
    return rows, columns, rows[BUCKET].to_numpy(), int(unseen.sum())


def labels_of(column: pa.ChunkedArray, label: LabelSpec) -> tuple[np.ndarray, np.ndarray]:
    """Labels as the dataset has them, and which rows have a class that is not in the spec."""
    if label.kind == "classes":
        texts = pc.cast(column, pa.string()).combine_chunks()
        found = pc.index_in(texts, value_set=pa.array(label.classes, pa.string()))
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        ids = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int32)
        return ids, ids < 0
    if label.kind == "multi_label":
        return as_matrix(column, label.classes)
    values = column.to_numpy()
    return ((values - label.center) / label.scale).astype(np.float32), np.zeros(len(values), bool)


def _weights(
    rows: pa.Table, label: np.ndarray, spec: LabelSpec, by_class: dict[str, float]
) -> np.ndarray:
    weights = np.ones(len(label), np.float64)
    if WEIGHT in rows.column_names:
        weights = weights * rows[WEIGHT].to_numpy()
    if by_class:
        names = spec.classes if spec.kind == "classes" else ("false", "true")
        factors = np.array([by_class.get(name, 1.0) for name in names])
        weights = weights * factors[label.astype(np.int64)]
    return weights.astype(np.float32)


def _write_file(
    columns: Columns, split: str, path: str, spec: TransformSpec, writing: Writing
) -> DataFile:
    schema = file_schema(spec, writing.kept)
    arrays = [_arrow(columns[field.name], field.type) for field in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    files, base = open_files(writing.root)
    full = f"{base}/{path}"
    # Ids repeat and compress as dictionaries; floats hardly do.
    ids = [f.name for f in schema if f.type == pa.int32()]
    begins = range(0, table.num_rows, writing.rows_per_row_group)
    parts = [table.slice(begin, writing.rows_per_row_group) for begin in begins]
    row_groups = [part.num_rows for part in parts]
    trained_on = file_schema(spec).names
    noted = {CHECKSUMS: checksums_of(table.select(trained_on), row_groups)}
    sink = pa.BufferOutputStream()  # thousands of small writes, made one
    with pq.ParquetWriter(sink, schema.with_metadata(noted), use_dictionary=ids) as writer:
        for part in parts:
            writer.write_table(part, row_group_size=part.num_rows)
    buffer = sink.getvalue()
    footer = footer_checksum(footer_bytes(pa.BufferReader(buffer)))
    with reaching(writing.root):
        files.makedirs(full.rpartition("/")[0], exist_ok=True)
        with files.open(full, "wb") as stream:
            stream.write(buffer)
    content = hashlib.sha256()
    for name in trained_on:
        content.update(np.ascontiguousarray(columns[name]).data)
    return DataFile(
        path=path,
        split=split,  # type: ignore[arg-type]
        bytes=buffer.size,
        row_groups=tuple(row_groups),
        content=content.hexdigest(),
        footer=footer,
    )


def _arrow(
    values: "np.ndarray | pa.ChunkedArray", kind: pa.DataType
) -> "pa.Array | pa.ChunkedArray":
    if isinstance(values, pa.ChunkedArray):
        return values
    if values.ndim == 1:
        return pa.array(values, kind)
    flat = np.ascontiguousarray(values).reshape(-1)
    if pa.types.is_fixed_size_binary(kind):
        return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, pa.py_buffer(flat)])
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
