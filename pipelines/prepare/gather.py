"""Bring the rows of one identity together, as Arrow blobs, and learn from them: the first job.

A shuffle of rows costs Spark a conversion a cell. Here a task deals its rows into one Arrow blob a
target (`spread`), Spark moves the few blobs, and the target's task puts them together: it drops
duplicates, orders the rows, and makes the statistics of its train rows (`gather`). Where the lake
has several source partitions, the rows are then dealt out again, as blobs, to the data files that
they go to: a file has rows of one source partition, so that a later build can replace them. What is
left is kept by Spark (`persist`), so that the second job writes without reading the lake again.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zipimport import zipimporter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.lake.files import SPLITS
from pipelines.prepare.counts import Counts
from pipelines.prepare.identity import order_of, row_hashes
from pipelines.prepare.late import Late, LateReader
from pipelines.prepare.names import (
    BASELINE,
    BUCKET,
    FILE,
    LABEL,
    LATEST,
    PARTITION,
    PROBLEMS,
    ROW_ID,
    TIE,
    TWIN,
    WEIGHT,
    mask,
)
from pipelines.prepare.places import Places
from pipelines.prepare.rivals import Known, write_crossings
from pipelines.prepare.rules import BITS, split_problems
from pipelines.transform.arrow import read_columns
from pipelines.transform.fit import Unfitted
from pipelines.transform.statistics import read_ipc, write_ipc
from pipelines.transform.variables import LABEL as LABEL_KEY

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame

BLOB_DDL = "kind string, name string, target int, blob binary"
ROWS, COUNTS, NUMBERS, TEXTS = "rows", "counts", "numbers", "texts"
RIVALS, BEATEN = "rivals", "beaten"
_SCHEMA = pa.schema(
    [("kind", pa.string()), ("name", pa.string()), ("target", pa.int32()), ("blob", pa.binary())]
)
# A task deals out what it holds at this many rows or bytes: blobs of some thousand rows each at
# fewer than a hundred targets, in some three times that memory.
_SPREAD_ROWS, _SPREAD_BYTES = 262_144, 128 * 2**20
# It takes them in pieces of this size, the first of few rows.
_PIECE_BYTES, _FIRST_ROWS = 16 * 2**20, 1024
# Targets that a task takes one after the other, where there are enough for all cores: a Python
# task costs some 0.2 s before it does anything (1 million rows, 16 targets, all of prepare: 47 s of
# CPU in Python with a task a target and 42 tasks that merge, 32 s with 8 and 4). It holds the blobs
# of all of them, compressed, and the rows of one: sorting the blobs first took the JVM 10 s of CPU
# at 5 million rows, and Python as much.
_TARGETS_A_TASK = 8
_SMALL_KINDS = {"integer", "real", "string", "timestamp"}


@dataclass(frozen=True)
class Layout:
    """The data files of a build, a file a split and target.

    Attributes:
        sizes: targets of each source partition, one or more.
    """

    sizes: tuple[int, ...]

    @property
    def alone(self) -> bool:
        """Whether there is one source partition; then rows stay at the target of their key."""
        return len(self.sizes) == 1

    @property
    def targets(self) -> int:
        return sum(self.sizes)

    def targets_of(self, partition: np.ndarray, identity: np.ndarray) -> np.ndarray:
        """int32 targets of rows: of their partition, by the hash of their identity."""
        sizes = np.array(self.sizes, np.uint64)
        firsts = np.cumsum([0, *self.sizes[:-1]]).astype(np.int32)
        inside = (identity.view(np.uint64) % sizes[partition]).astype(np.int32)
        return np.asarray(firsts[partition] + inside)

    def partition_of(self, target: int) -> int:
        return int(np.searchsorted(np.cumsum(self.sizes), target, side="right"))


@dataclass(frozen=True)
class Gathering:
    """What the tasks of the first job need to know.

    Attributes:
        unfitted: what is to be learnt.
        checks: how many checks there are.
        targets: groups that rows of one key are dealt to.
        layout: the data files that rows are written to.
        seed: of the order of rows.
        places: source partitions of the rows.
        duplicates: where to say which rows lost against a row of another source partition.
        learn: whether statistics are made; not where the transform is there already.
        late: what the tasks read themselves.
    """

    unfitted: Unfitted
    checks: int
    targets: int
    layout: Layout
    seed: int
    places: Places
    duplicates: str
    learn: bool = True
    late: "Broadcast[Late] | None" = None


def gathered(
    tagged: "DataFrame", gathering: Gathering, others: "DataFrame | None" = None
) -> "DataFrame":
    """Blobs of the tagged rows: ROWS a target of the layout, and COUNTS, NUMBERS and TEXTS.

    Args:
        tagged: rows as `tag_rows` makes them.
        others: blobs of what is known of rows that are not read again, see `rivals.py`.
    """
    # mapInArrow resolves names as SQL: a dot or a backtick in one would break it.
    safe = tagged.toDF(*(f"c{i}" for i in range(len(tagged.columns))))
    blobs = safe.mapInArrow(_spreading(gathering, tagged.columns), BLOB_DDL)
    cores = tagged.sparkSession.sparkContext.defaultParallelism
    if others is not None:
        blobs = blobs.unionAll(others)
    # Lists and images are large: their tasks hold one target each.
    large = not _SMALL_KINDS.issuperset(gathering.unfitted.raw.values())

    def tasks(targets: int) -> int:
        return min(targets, max(4 * cores, targets // (1 if large else _TARGETS_A_TASK)))

    dealt = blobs.repartition(tasks(gathering.targets), "target")
    found = dealt.mapInArrow(_gathering(gathering), BLOB_DDL)
    if gathering.layout.alone:
        return found
    return found.repartition(tasks(gathering.layout.targets), "target")


def forget_archives() -> None:
    """Spare this worker's next tasks 0.14 s of CPU each (Spark 4.0's two archives, Python 3.11).

    Before every task Spark's worker invalidates the caches of Python's importers, and those of its
    own zip files read the archives anew. Importers that are forgotten are made again when a module
    is looked for, from what is known of the archive.
    """
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimporter):
            del sys.path_importer_cache[path]


def blob_batch(rows: list[tuple[str, str, int, bytes]]) -> pa.RecordBatch:
    arrays = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(_SCHEMA)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def rows_of(batch: pa.RecordBatch) -> Iterator[tuple[str, str, int, bytes]]:
    """The blobs of a batch: kind, name, target, blob."""
    return zip(*(batch[name].to_pylist() for name in _SCHEMA.names), strict=True)


def by_target(
    batches: Iterable[pa.RecordBatch],
) -> Iterator[tuple[int, list[tuple[str, str, int, bytes]]]]:
    """All blobs of a target, one target after the other; the task's targets are held in memory."""
    groups: dict[int, list[tuple[str, str, int, bytes]]] = {}
    for batch in batches:
        for row in rows_of(batch):
            groups.setdefault(row[2], []).append(row)
    for target in sorted(groups):
        yield target, groups.pop(target)


def _spreading(gathering: Gathering, names: list[str]) -> Callable[..., Iterator[pa.RecordBatch]]:
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
                rows, size = rows + held[-1].num_rows, size + held[-1].nbytes
                piece_rows = _piece_rows(held[-1])
                if rows >= _SPREAD_ROWS or size >= _SPREAD_BYTES:
                    yield from _dealt(held, gathering.targets)
                    held, rows, size = [], 0, 0
        yield from _dealt(held, gathering.targets)
        yield blob_batch([(COUNTS, "", 0, counts.to_bytes())])

    return spread


def _piece_rows(last: pa.Table) -> int:
    """Rows of the next piece, by the size of the last one's."""
    return max(16, _PIECE_BYTES * last.num_rows // max(last.nbytes, 1))


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
    counts.buckets += _pairs(partition[out], bucket[out])
    for start in range(0, checks, BITS):
        bits = batch[mask(start // BITS)].to_numpy()
        bits = bits[bits != 0]
        for check in range(start, min(start + BITS, checks)):
            if hit := int(np.count_nonzero(bits & (1 << (check - start)))):
                counts.violations[check] += hit
    if checks:
        keep_examples(batch[PROBLEMS], counts)


def _pairs(one: np.ndarray, other: np.ndarray) -> "Counter[tuple[int, int]]":
    """How often each pair of values occurs."""
    if not len(one):
        return Counter()
    pairs, found = np.unique(np.stack([one, other]), axis=1, return_counts=True)
    return Counter(dict(zip(map(tuple, pairs.T.tolist()), found.tolist(), strict=True)))


def keep_examples(problems: pa.Array, counts: Counts) -> None:
    """Take in the PROBLEMS of rows, null where there is none."""
    found: dict[int, list[str]] = {}
    for text in problems.drop_null().unique().to_pylist():
        for check, reason in split_problems(text):
            found.setdefault(check, []).append(reason)
    for check, reasons in found.items():
        counts.keep_examples(check, reasons)


def _dealt(held: list[pa.Table], targets: int) -> Iterator[pa.RecordBatch]:
    if not sum(t.num_rows for t in held):
        return
    table = pa.concat_tables(held).combine_chunks()
    held.clear()
    kept = np.flatnonzero(table[BUCKET].to_numpy() < len(SPLITS))
    identity = table[ROW_ID].to_numpy()[kept].view(np.uint64)
    target = (identity % np.uint64(targets)).astype(np.int16 if targets < 2**15 else np.int32)
    order = np.argsort(target, kind="stable")
    table = table.take(pa.array(kept[order]))
    begins = np.searchsorted(target[order], np.arange(targets + 1))
    rows = []
    size = 0
    for number in range(targets):
        begin, end = int(begins[number]), int(begins[number + 1])
        if end > begin:
            # Not compressed: Spark's shuffle does that.
            blob = write_ipc(table.slice(begin, end - begin), compression=None)
            rows.append((ROWS, "", number, blob))
            size += len(blob)
        if size >= _SPREAD_BYTES // 8:
            yield blob_batch(rows)
            rows, size = [], 0
    if rows:
        yield blob_batch(rows)


def _gathering(gathering: Gathering) -> Callable[..., Iterator[pa.RecordBatch]]:
    def gather(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        for target, group in by_target(batches):
            yield blob_batch([row for row in group if row[0] == COUNTS])
            of = {kind: [read_ipc(row[3]) for row in group if row[0] == kind] for kind in _TABLES}
            if of[ROWS]:
                table = pa.concat_tables(of[ROWS]).combine_chunks()
                counts = Counts()
                kept, losses = distinct_rows(table, list(gathering.unfitted.raw))
                known = Known.of(of[RIVALS], of[BEATEN])
                kept, crossings = known.settled(table, kept, losses, gathering.places, counts)
                if crossings.num_rows:
                    write_crossings(crossings, gathering.duplicates, target)
                yield from _learnt(table, kept, gathering, target, counts)

    return gather


_TABLES = (ROWS, RIVALS, BEATEN)


def _learnt(
    table: pa.Table, kept: np.ndarray, gathering: Gathering, target: int, counts: Counts
) -> Iterator[pa.RecordBatch]:
    """The target's rows, cleaned and in order, and what they say."""
    unfitted, layout = gathering.unfitted, gathering.layout
    partition = table[PARTITION].to_numpy()
    lost = np.bincount(partition, minlength=len(layout.sizes))
    lost -= np.bincount(partition[kept], minlength=len(layout.sizes))
    counts.duplicates = Counter({i: n for i, n in enumerate(lost.tolist()) if n})
    bucket, partition = table[BUCKET].to_numpy()[kept], partition[kept]
    identity = table[ROW_ID].to_numpy()[kept]
    counts.buckets += _pairs(partition, bucket)
    order = order_of(identity, gathering.seed)
    file = np.full(len(kept), target, np.int32)
    if not layout.alone:
        file = layout.targets_of(partition, identity)
    # Of a file the train rows first, then those of the other splits.
    place = np.lexsort((identity, order, bucket, file))
    kept, file, bucket = kept[place], file[place], bucket[place]
    names = [*unfitted.raw, BUCKET, LABEL, ROW_ID]
    names += [name for name in (WEIGHT, BASELINE) if name in table.column_names]
    table = table.select(names).take(pa.array(kept))
    for name in unfitted.raw:
        missing = np.bincount(bucket[missing_values(table[name])], minlength=len(SPLITS))
        for split, rows in enumerate(missing.tolist()):
            if rows:
                counts.nulls[name, split] = rows
    rows_out = [(COUNTS, "", target, counts.to_bytes())]
    if gathering.learn:
        train = encoded(table.filter(pa.array(bucket == 0)))
        columns = read_columns(train, unfitted.raw, unfitted.derived())
        for key, variable in unfitted.variables().items():
            summary = variable.of(columns)
            rows_out.append((_kind_of(summary), key, target, summary.to_bytes()))
        label = unfitted.label_of(train[LABEL])
        rows_out.append((_kind_of(label), LABEL_KEY, target, label.to_bytes()))
    yield blob_batch(rows_out)
    turns = np.flatnonzero(np.diff(file)) + 1
    blobs: list[tuple[str, str, int, bytes]] = []
    for first, end in zip([0, *turns.tolist()], [*turns.tolist(), len(file)], strict=True):
        if end > first:
            # Texts as they are: a dictionary would have to be cut to each of many small pieces.
            blob = write_ipc(table.slice(first, end - first), compression=None)
            blobs.append((ROWS, f"{target:08d}", int(file[first]), blob))
        if sum(len(b[3]) for b in blobs) >= _SPREAD_BYTES // 8:
            yield blob_batch(blobs)
            blobs = []
    yield blob_batch(blobs)


def encoded(table: pa.Table) -> pa.Table:
    """Texts as dictionaries: they are counted and looked up once a distinct value from here on."""
    columns = []
    for column in table.columns:
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # no chunk at all
            array = pa.concat_arrays(array.chunks) if array.num_chunks else array
        columns.append(array.dictionary_encode() if array.type == pa.string() else array)
    return pa.Table.from_arrays(columns, names=table.column_names)


def _kind_of(summary: object) -> str:
    from pipelines.transform.statistics import TextCounts

    return TEXTS if isinstance(summary, TextCounts) else NUMBERS


def missing_values(column: pa.ChunkedArray) -> np.ndarray:
    """Bool of shape (rows,): nulls, NaN and infinities of a raw column."""
    missing = pc.is_null(column).to_numpy()
    if pa.types.is_floating(column.type):
        finite = pc.fill_null(pc.is_finite(column), False).to_numpy()
        return np.asarray(missing | ~finite)
    return np.asarray(missing)


def distinct_rows(table: pa.Table, raw: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which rows stay: of one key the latest, ties settled by all values.

    Rows without a key (TWIN null) are no duplicates of any other.

    Returns:
        positions of the rows that stay, rising; and int64 of shape (lost, 2): the position of each
        row that goes and of the row that it lost against.
    """
    rows = table.num_rows
    none = np.zeros((0, 2), np.int64)
    if TWIN not in table.column_names:
        return np.arange(rows), none
    identity = table[ROW_ID].to_numpy()
    keyed = table[TWIN].is_valid().to_numpy()
    twin = pc.fill_null(table[TWIN], 0).to_numpy()
    by_identity = np.argsort(identity, kind="stable")
    again = identity[by_identity][1:] == identity[by_identity][:-1]
    shared = np.zeros(rows, bool)
    shared[1:] |= again
    shared[:-1] |= again
    rivals = by_identity[shared]
    rivals = rivals[keyed[rivals]]
    if not len(rivals):
        return np.arange(rows), none
    some = table.take(pa.array(rivals))
    latest = np.zeros(len(rivals), np.uint64)
    if LATEST in some.column_names:
        latest = pc.rank(
            some[LATEST].combine_chunks(), "descending", null_placement="at_end", tiebreaker="dense"
        ).to_numpy()
    tie = row_hashes([some[name] for name in raw], some[TIE].to_numpy().view(np.uint64))
    # Equal rows in several source partitions: the first partition keeps its row.
    partition = some[PARTITION].to_numpy()
    best = np.lexsort((partition, tie, latest, twin[rivals], identity[rivals]))
    ordered = rivals[best]
    starts = np.ones(len(ordered), bool)
    starts[1:] = (identity[ordered][1:] != identity[ordered][:-1]) | (
        twin[ordered][1:] != twin[ordered][:-1]
    )
    winner = ordered[np.maximum.accumulate(np.where(starts, np.arange(len(ordered)), 0))]
    losses = np.stack([ordered[~starts], winner[~starts]], axis=1)
    return np.setdiff1d(np.arange(rows), losses[:, 0], assume_unique=True), losses
