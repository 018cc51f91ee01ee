"""Deal a task's rows out to the targets where rows of one identity meet: one Arrow blob a target.

Rows that are not published are counted here and left out; what reads itself late is read now.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.lake.data_file import SPLITS
from headrace.prepare.shuffle.arrow_blobs import (
    COUNTS,
    ROWS,
    Blobs,
    forget_archives,
)
from headrace.prepare.shuffle.options import SPREAD_BYTES
from headrace.prepare.shuffle.partitioner import Layout
from headrace.prepare.shuffle.row_hash import row_hashes
from headrace.prepare.shuffle.task_counts import Counts, pairs_of
from headrace.source.dictionaries import alike, bytes_decoded, taken
from headrace.source.internal_columns import (
    BUCKET,
    FILE,
    PARTITION,
    PROBLEMS,
    ROW_ID,
    TIE,
    mask,
)
from headrace.source.late_materialization import LateReader
from headrace.source.partition_index import Places
from headrace.source.rules import BITS, split_problems

if TYPE_CHECKING:
    from headrace.prepare.shuffle.options import Gathering

# A task deals out what it holds at this many rows or bytes: blobs of some thousand rows each at
# fewer than a hundred targets, in some three times that memory.
_SPREAD_ROWS = 262_144
# It takes them in pieces of this size, the first of few rows.
_PIECE_BYTES, _FIRST_ROWS = 16 * 2**20, 1024


def spreading(gathering: "Gathering", names: list[str]) -> Callable[..., Iterator[pa.RecordBatch]]:
    def spread(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        counts = Counts()
        held: list[pa.Table] = []
        rows = size = 0
        piece_rows = _FIRST_ROWS
        reader = LateReader(gathering.late.value) if gathering.late else None
        raw, places = list(gathering.unfitted.raw), gathering.places
        for unnamed in batches:
            batch = pa.RecordBatch.from_arrays(unnamed.columns, names=names)
            partition = _partitions(batch, places)
            _count(batch, partition, gathering.checks, counts)
            table = pa.Table.from_batches([batch])
            table = table.drop_columns(_only_for_counts(batch.schema.names))
            table = table.append_column(PARTITION, pa.array(partition))
            begin = 0
            while begin < table.num_rows:
                piece = table.slice(begin, piece_rows)
                begin += piece.num_rows
                # Rows that are not published are left out when rows are dealt, which copies anyway.
                piece = reader.completed(piece) if reader else piece
                if FILE in piece.column_names:
                    piece = piece.drop_columns([FILE])
                held.append(_identified(piece, raw))
                rows, size = rows + held[-1].num_rows, size + bytes_decoded(held[-1])
                piece_rows = _piece_rows(held[-1])
                if rows >= _SPREAD_ROWS or size >= SPREAD_BYTES:
                    yield from _dealt(held, gathering.layout)
                    held, rows, size = [], 0, 0
        yield from _dealt(held, gathering.layout)
        yield Blobs.of([(COUNTS, "", 0, counts.to_bytes())]).batch()

    return spread


def _piece_rows(last: pa.Table) -> int:
    """Rows of the next piece, by the size of the last one's."""
    return max(16, _PIECE_BYTES * last.num_rows // max(bytes_decoded(last), 1))


def _identified(table: pa.Table, raw: list[str]) -> pa.Table:
    """The rows, those without a key identified by all of themselves."""
    keyless = table[ROW_ID].is_null()
    if not pc.any(keyless).as_py():
        return table
    some = table.filter(keyless)
    identity = pc.fill_null(table[ROW_ID], 0).to_numpy().copy()
    tie = some[TIE].to_numpy().view(np.uint64)
    identity[keyless.to_numpy()] = row_hashes([some[n] for n in raw], tie).view(np.int64)
    index = table.column_names.index(ROW_ID)
    return table.set_column(index, ROW_ID, pa.array(identity))


def _only_for_counts(names: list[str]) -> list[str]:
    masks = {mask(i) for i in range(len(names))}
    return [name for name in names if name == PROBLEMS or name in masks]


def _partitions(batch: pa.RecordBatch, places: Places) -> np.ndarray:
    """int32 positions of the rows' source partitions."""
    if not places.by_file:
        return np.zeros(batch.num_rows, np.int32)
    return places.of_rows(batch[FILE].to_numpy())


def _count(batch: pa.RecordBatch, partition: np.ndarray, checks: int, counts: Counts) -> None:
    """Rows of the buckets that are not published, and violations."""
    bucket = batch[BUCKET].to_numpy()
    out = np.flatnonzero(bucket >= len(SPLITS))
    counts.buckets += pairs_of(partition[out], bucket[out])
    for start in range(0, checks, BITS):
        bits = batch[mask(start // BITS)].to_numpy()
        bits = bits[bits != 0]
        for check in range(start, min(start + BITS, checks)):
            if hit := int(np.count_nonzero(bits & (1 << (check - start)))):
                counts.violations[check] += hit
    if checks:
        keep_examples(batch[PROBLEMS], counts)


def keep_examples(problems: pa.Array, counts: Counts) -> None:
    """Take in the PROBLEMS of rows, null where there is none."""
    found: dict[int, list[str]] = {}
    for text in problems.drop_null().unique().to_pylist():
        for check, reason in split_problems(text):
            found.setdefault(check, []).append(reason)
    for check, reasons in found.items():
        counts.keep_examples(check, reasons)


def _dealt(held: list[pa.Table], layout: Layout) -> Iterator[pa.RecordBatch]:
    if not sum(t.num_rows for t in held):
        return
    known = pa.concat_tables([table.select([BUCKET, ROW_ID]) for table in held])
    kept = np.flatnonzero(known[BUCKET].to_numpy() < len(SPLITS))
    targets = layout.targets
    target = layout.target_of(known[ROW_ID].to_numpy()[kept])
    target = target.astype(np.int16 if targets < 2**15 else np.int32)  # sorted by digits
    order = np.argsort(target, kind="stable")
    table = taken(alike(held), pa.array(kept[order]), targets)
    held.clear()
    begins = np.searchsorted(target[order], np.arange(targets + 1))
    blobs = Blobs()
    for number in range(targets):
        begin, end = int(begins[number]), int(begins[number + 1])
        if end > begin:  # not compressed: Spark's shuffle does that
            blobs.add_table(ROWS, "", number, table.slice(begin, end - begin))
        if blobs.size >= SPREAD_BYTES // 8:
            yield blobs.batch()
    yield blobs.batch()
