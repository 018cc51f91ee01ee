"""Divide rows by number into Arrow blobs, and buckets of targets into their targets.

A blob of a few rows costs as much as one of a thousand: a stream's schema, a slice of every column,
an entry in Spark's shuffle. So a task deals its rows to some hundred places at most. Where there
are more targets, these are buckets of neighbouring targets, and tasks of a second round divide
every bucket, in the same way (a radix partition of two digits).
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa

from headrace.columns.statistics import read_ipc
from headrace.prepare.shuffle.arrow_blobs import (
    ROWS,
    TABLES,
    BlobBuilder,
    forget_archives,
    read_blobs,
)
from headrace.prepare.shuffle.options import BUFFER_BYTES
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.source.dictionaries import estimate_decoded_bytes, take_rows, unify_dictionaries
from headrace.source.internal_columns import ROW_ID

BUFFER_ROWS = 262_144
"""A task divides the rows in its buffer at this many rows, or at BUFFER_BYTES: blobs of a thousand
rows each at 256 places, in some three times that memory."""


def divide_rows(
    kind: str,
    tables: list[pa.Table],
    number: np.ndarray,
    places: int,
    *,
    chosen: np.ndarray | None = None,
    first: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Yield rows as blobs, one for each place that has any.

    Args:
        kind: of the blobs.
        tables: of the same columns; the list is emptied once rows are copied.
        number: place of every row, or of the chosen ones, from 0; integers of shape (rows,).
        places: how many there are.
        chosen: positions of the rows to yield, in all tables together; all by default.
        first: target of the blob of place 0.
    """
    number = number.astype(np.int16 if places < 2**15 else np.int32)  # sorted by digits
    order = np.argsort(number, kind="stable")
    positions = order if chosen is None else chosen[order]
    table = take_rows(unify_dictionaries(tables), pa.array(positions), places)
    tables.clear()
    begins = np.searchsorted(number[order], np.arange(places + 1))
    # Rows are not compressed, Spark's shuffle does that; keys have been smaller so.
    compression = None if kind == ROWS else "lz4"
    blobs = BlobBuilder()
    for place in np.flatnonzero(np.diff(begins)).tolist():
        begin, end = int(begins[place]), int(begins[place + 1])
        blobs.add_table(kind, "", first + place, table.slice(begin, end - begin), compression)
        if blobs.size >= BUFFER_BYTES // 8:
            yield blobs.build_batch()
    yield blobs.build_batch()


def make_bucket_function(partitioner: Partitioner) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Make the function for `mapInArrow` that divides a task's buckets into targets.

    A bucket may be of any size: of each kind, rows of one buffer are held (262,144, or 128 MiB),
    copied once while they are divided, and the batch of blobs that Spark hands over, of 64 MB by
    default; Spark 3.5 bounds it by 10,000 blobs alone. Blobs that are no tables, such as counts,
    are passed on as they are.

    Args:
        partitioner: of the rows.
    """

    def divide_buckets(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        buffers: dict[tuple[str, int], _Buffer] = {}
        for batch in batches:
            others = BlobBuilder()
            for kind, name, bucket, blob in read_blobs(batch):
                if kind not in TABLES:
                    others.add_bytes(kind, name, bucket, blob.to_pybytes())
                    continue
                buffer = buffers.setdefault((kind, bucket), _Buffer())
                buffer.add(read_ipc(blob))
                if buffer.is_full:
                    yield from _divide_bucket(kind, bucket, buffer.take(), partitioner)
            if others.size:
                yield others.build_batch()
        for (kind, bucket), buffer in buffers.items():
            if buffer.rows:
                yield from _divide_bucket(kind, bucket, buffer.take(), partitioner)

    return divide_buckets


class _Buffer:
    """Rows of one bucket, until they are enough for blobs of many rows."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.rows = self.bytes = 0

    def add(self, table: pa.Table) -> None:
        self.tables.append(table)
        self.rows += table.num_rows
        self.bytes += estimate_decoded_bytes(table)

    @property
    def is_full(self) -> bool:
        return self.rows >= BUFFER_ROWS or self.bytes >= BUFFER_BYTES

    def take(self) -> list[pa.Table]:
        tables, self.tables = self.tables, []
        self.rows = self.bytes = 0
        return tables


def _divide_bucket(
    kind: str, bucket: int, tables: list[pa.Table], partitioner: Partitioner
) -> Iterator[pa.RecordBatch]:
    """Yield rows of a bucket as one blob for each of its targets."""
    identity = pa.concat_tables([table.select([ROW_ID]) for table in tables])[ROW_ID].to_numpy()
    first = bucket * partitioner.targets_per_bucket
    target = partitioner.assign_targets(identity) - first
    yield from divide_rows(kind, tables, target, partitioner.targets_per_bucket, first=first)
