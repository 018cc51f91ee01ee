"""Bring the rows of one identity together, as Arrow blobs, and learn from them: the first job.

A shuffle of rows costs Spark a conversion a cell. Here a task deals its rows into one Arrow blob a
target (`spread.py`), Spark moves the few blobs, and the target's task puts them together: it drops
duplicates, orders the rows, and makes the statistics of its train rows (`gather`). Where the lake
has several source partitions, the rows are then dealt out again, as blobs, to the data files that
they go to: a file has rows of one source partition, so that a later build can replace them. What is
left is kept by Spark (`persist`), so that the second job writes without reading the lake again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.lake.data_file import SPLITS
from headrace.prepare.shuffle.arrow_blobs import (
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
from headrace.prepare.shuffle.dedup import distinct_rows
from headrace.prepare.shuffle.dedup_across_partitions import Known, write_crossings
from headrace.prepare.shuffle.file_buffers import Pieces
from headrace.prepare.shuffle.map import spreading
from headrace.prepare.shuffle.options import SPREAD_BYTES, Gathering
from headrace.prepare.shuffle.partitioner import dealt_evenly
from headrace.prepare.shuffle.task_counts import Counts, pairs_of
from headrace.source.dictionaries import encoded, joined
from headrace.source.internal_columns import (
    BASELINE,
    BUCKET,
    FILE,
    LABEL,
    PARTITION,
    ROW_ID,
    WEIGHT,
)
from headrace.source.types import SMALL_KINDS
from headrace.transform.arrow import read_columns
from headrace.transform.statistics import read_ipc
from headrace.transform.variables import LABEL as LABEL_KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A task takes targets one after the other, with the rows of so many files in all, where there are
# enough for all cores: a Python task costs some 0.2 s before it does anything (1 million rows, 16
# targets, all of prepare: 47 s of CPU in Python with a task a target and 42 tasks that merge, 32 s
# with 8 and 4). It holds the blobs of all of them and the rows of one once more: sorting the blobs
# first took the JVM 10 s of CPU at 5 million rows, and Python as much.
_FILES_A_TASK = 8


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
    blobs = safe.mapInArrow(spreading(gathering, tagged.columns), BLOB_DDL)
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
            kept, losses = distinct_rows(table, gathering.carried)
            known = Known.of(of[RIVALS], of[BEATEN])
            kept, crossings = known.settled(table, kept, losses, gathering.places, counts)
            if crossings.num_rows:
                write_crossings(crossings, gathering.duplicates, target)
            rows, found = _learnt(table, kept, gathering, target, counts)
            yield Blobs.of(found).batch()
            for file, part in _by_file(rows):
                pieces.add(file, part)
            if not whole_groups and pieces.bytes >= SPREAD_BYTES:
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
    counts.buckets += pairs_of(partition, bucket)
    file = layout.file_of(partition, identity)
    place = np.argsort(file, kind="stable")
    kept, file, bucket = kept[place], file[place], bucket[place]
    names = [*gathering.carried, BUCKET, LABEL, ROW_ID]
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
    from headrace.transform.statistics import TextCounts

    return TEXTS if isinstance(summary, TextCounts) else NUMBERS


def missing_values(column: pa.ChunkedArray) -> np.ndarray:
    """Bool of shape (rows,): nulls, NaN and infinities of a raw column."""
    missing = pc.is_null(column).to_numpy()
    if pa.types.is_floating(column.type):
        finite = pc.fill_null(pc.is_finite(column), False).to_numpy()
        return np.asarray(missing | ~finite)
    return np.asarray(missing)
