"""Bring the rows of one identity together, as Arrow blobs, and learn from them: the first job.

A shuffle of rows costs Spark a conversion a cell. Here a task deals its rows into one Arrow blob a
target (`spread`), Spark moves the few blobs, and the target's task puts them together: it drops
duplicates, orders the rows, and makes the statistics of its train rows (`gather`). Where the lake
has several source partitions, the rows are then dealt out again, as blobs, to the data files that
they go to: a file has rows of one source partition, so that a later build can replace them. What is
left is kept by Spark (`persist`), so that the second job writes without reading the lake again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.lake.files import SPLITS
from pipelines.prepare.blobs import (
    BEATEN,
    BLOB_DDL,
    COUNTS,
    NUMBERS,
    RIVALS,
    ROWS,
    TABLES,
    TEXTS,
    Blob,
    Blobs,
    by_target,
    forget_archives,
)
from pipelines.prepare.counts import Counts
from pipelines.prepare.distinct import distinct_rows
from pipelines.prepare.identity import row_hashes
from pipelines.prepare.late import Late, LateReader
from pipelines.prepare.layout import Layout, dealt_evenly
from pipelines.prepare.names import (
    BASELINE,
    BUCKET,
    FILE,
    LABEL,
    PARTITION,
    PROBLEMS,
    ROW_ID,
    TIE,
    WEIGHT,
    mask,
)
from pipelines.prepare.pieces import Pieces
from pipelines.prepare.places import Places
from pipelines.prepare.rivals import Known, write_crossings
from pipelines.prepare.rules import BITS, split_problems
from pipelines.prepare.texts import alike, bytes_decoded, encoded, joined, taken
from pipelines.transform.arrow import read_columns
from pipelines.transform.fit import Unfitted
from pipelines.transform.statistics import read_ipc
from pipelines.transform.variables import LABEL as LABEL_KEY

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame

# A task deals out what it holds at this many rows or bytes: blobs of some thousand rows each at
# fewer than a hundred targets, in some three times that memory.
_SPREAD_ROWS, _SPREAD_BYTES = 262_144, 128 * 2**20
# It takes them in pieces of this size, the first of few rows.
_PIECE_BYTES, _FIRST_ROWS = 16 * 2**20, 1024
# A task takes targets one after the other, with the rows of so many files in all, where there are
# enough for all cores: a Python task costs some 0.2 s before it does anything (1 million rows, 16
# targets, all of prepare: 47 s of CPU in Python with a task a target and 42 tasks that merge, 32 s
# with 8 and 4). It holds the blobs of all of them and the rows of one once more: sorting the blobs
# first took the JVM 10 s of CPU at 5 million rows, and Python as much.
_FILES_A_TASK = 8
SMALL_KINDS = {"integer", "real", "string", "timestamp"}


@dataclass(frozen=True)
class Gathering:
    """What the tasks of the first job need to know.

    Attributes:
        unfitted: what is to be learnt.
        checks: how many checks there are.
        layout: the targets where rows of one key meet, and the data files that they go to.
        seed: of the order of rows.
        places: source partitions of the rows.
        duplicates: where to say which rows lost against a row of another source partition.
        learn: whether statistics are made; not where the transform is there already.
        late: what the tasks read themselves.
    """

    unfitted: Unfitted
    checks: int
    layout: Layout
    seed: int
    places: Places
    duplicates: str
    learn: bool = True
    late: "Broadcast[Late] | None" = None


def gathered(
    tagged: "DataFrame", gathering: Gathering, others: "DataFrame | None" = None
) -> "DataFrame":
    """Blobs of the tagged rows: ROWS a file of the layout, and COUNTS, NUMBERS and TEXTS.

    Args:
        tagged: rows as `tag_rows` makes them.
        others: blobs of what is known of rows that are not read again, see `rivals.py`.
    """
    import pyspark.sql.functions as F

    # mapInArrow resolves names as SQL: a dot or a backtick in one would break it.
    safe = tagged.toDF(*(f"c{i}" for i in range(len(tagged.columns))))
    blobs = safe.mapInArrow(_spreading(gathering, tagged.columns), BLOB_DDL)
    cores = tagged.sparkSession.sparkContext.defaultParallelism
    if others is not None:
        blobs = blobs.unionAll(others)
    # Lists and images are large: their tasks hold one target each.
    large = not SMALL_KINDS.issuperset(gathering.unfitted.raw.values())

    def tasks(files: int, at_most: int) -> int:
        return min(at_most, max(4 * cores, files // (1 if large else _FILES_A_TASK)))

    layout = gathering.layout
    worth = layout.targets * layout.files_a_target
    spark = tagged.sparkSession
    target = F.col("target")
    if layout.in_one_task(cores, large=large):
        number = tasks(worth, layout.groups)
        group = F.floor(target / layout.targets_a_group)
        dealt = blobs.repartition(number, dealt_evenly(spark, group, number))
        return dealt.mapInArrow(_gathering(gathering, whole_groups=True), BLOB_DDL)
    number = tasks(worth, layout.targets)
    dealt = blobs.repartition(number, dealt_evenly(spark, target, number))
    found = dealt.mapInArrow(_gathering(gathering, whole_groups=False), BLOB_DDL)
    number = tasks(layout.files, layout.files)
    return found.repartition(number, dealt_evenly(spark, target, number))


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
                rows, size = rows + held[-1].num_rows, size + bytes_decoded(held[-1])
                piece_rows = _piece_rows(held[-1])
                if rows >= _SPREAD_ROWS or size >= _SPREAD_BYTES:
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
    """How often each pair of values, none negative, occurs."""
    if not len(one):
        return Counter()
    width = int(other.max()) + 1
    found = np.bincount(one.astype(np.int64) * width + other)
    return Counter({divmod(i, width): int(found[i]) for i in np.flatnonzero(found).tolist()})


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
        if blobs.size >= _SPREAD_BYTES // 8:
            yield blobs.batch()
    yield blobs.batch()


def _gathering(
    gathering: Gathering, *, whole_groups: bool
) -> Callable[..., Iterator[pa.RecordBatch]]:
    layout = gathering.layout

    def gather(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        pieces = Pieces(gathering.seed)
        last = 0
        for target, blobs in by_target(batches):
            if whole_groups and target // layout.targets_a_group != last:
                yield from pieces.files()
            last = target // layout.targets_a_group
            counted = [row[3].to_pybytes() for row in blobs if row[0] == COUNTS]
            yield Blobs.of([(COUNTS, "", target, blob) for blob in counted]).batch()
            of = {kind: [read_ipc(row[3]) for row in blobs if row[0] == kind] for kind in TABLES}
            if not of[ROWS]:
                continue
            table = joined(of[ROWS])
            counts = Counts()
            kept, losses = distinct_rows(table, list(gathering.unfitted.raw))
            known = Known.of(of[RIVALS], of[BEATEN])
            kept, crossings = known.settled(table, kept, losses, gathering.places, counts)
            if crossings.num_rows:
                write_crossings(crossings, gathering.duplicates, target)
            rows, found = _learnt(table, kept, gathering, target, counts)
            yield Blobs.of(found).batch()
            for file, part in _by_file(rows):
                pieces.add(file, part)
            if not whole_groups and pieces.bytes >= _SPREAD_BYTES:
                yield from pieces.as_they_are()
        yield from pieces.files() if whole_groups else pieces.as_they_are()

    return gather


def _by_file(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Rows of one file after the other, of rows that are in the order of FILE, without it."""
    file = rows[FILE].to_numpy()
    rows = rows.drop_columns([FILE])
    turns = np.flatnonzero(np.diff(file)) + 1
    for first, end in zip([0, *turns.tolist()], [*turns.tolist(), len(file)], strict=True):
        if end > first:
            yield int(file[first]), rows.slice(first, end - first)


def _learnt(
    table: pa.Table, kept: np.ndarray, gathering: Gathering, target: int, counts: Counts
) -> tuple[pa.Table, list[Blob]]:
    """The target's rows, cleaned and in order, with the FILE they go to; and what they say."""
    unfitted, layout = gathering.unfitted, gathering.layout
    partition = table[PARTITION].to_numpy()
    lost = np.bincount(partition, minlength=len(layout.sizes))
    lost -= np.bincount(partition[kept], minlength=len(layout.sizes))
    counts.duplicates = Counter({i: n for i, n in enumerate(lost.tolist()) if n})
    bucket, partition = table[BUCKET].to_numpy()[kept], partition[kept]
    identity = table[ROW_ID].to_numpy()[kept]
    counts.buckets += _pairs(partition, bucket)
    file = layout.file_of(partition, identity)
    place = np.argsort(file, kind="stable")
    kept, file, bucket = kept[place], file[place], bucket[place]
    names = [*unfitted.raw, BUCKET, LABEL, ROW_ID]
    names += [name for name in (WEIGHT, BASELINE) if name in table.column_names]
    table = table.select(names).take(pa.array(kept))
    for name in unfitted.raw:
        missing = np.bincount(bucket[missing_values(table[name])], minlength=len(SPLITS))
        for split, rows in enumerate(missing.tolist()):
            if rows:
                counts.nulls[name, split] = rows
    found: list[Blob] = [(COUNTS, "", target, counts.to_bytes())]
    if gathering.learn:
        train = encoded(table.filter(pa.array(bucket == 0)))
        columns = read_columns(train, unfitted.raw, unfitted.derived())
        for key, variable in unfitted.variables().items():
            summary = variable.of(columns)
            found.append((_kind_of(summary), key, target, summary.to_bytes()))
        label = unfitted.label_of(train[LABEL])
        found.append((_kind_of(label), LABEL_KEY, target, label.to_bytes()))
    return table.append_column(FILE, pa.array(file)), found


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
