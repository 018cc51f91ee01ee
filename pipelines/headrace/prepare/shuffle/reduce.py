"""Bring the rows of one identity together, as Arrow blobs, and collect statistics: the first job.

A shuffle of rows costs Spark a conversion for each cell. Here a task partitions its rows into one
Arrow blob for each target (`map.py`), or for each bucket of targets where they are many, which are
then divided in tasks of their own (`buckets.py`). Spark moves the few blobs, and the target's task
puts them together: it drops duplicates, orders the rows, and collects the statistics of its train
rows. Where the lake has several source partitions, the rows are then partitioned again, as blobs,
by the data files that they go to: a file has rows of one source partition, so that a later build
can replace them. Spark caches the blobs (`persist`), so that the second job writes without reading
the lake again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.columns.statistics import read_ipc
from headrace.lake.data_file import SPLITS
from headrace.prepare.shuffle.arrow_blobs import (
    BLOB_DDL,
    COUNTS,
    LOST_KEYS,
    NUMBERS,
    PUBLISHED_KEYS,
    READ_KEYS,
    ROWS,
    TABLES,
    TEXTS,
    Blob,
    BlobBuilder,
    StoredBlob,
    forget_archives,
    group_by_target,
)
from headrace.prepare.shuffle.buckets import make_bucket_function
from headrace.prepare.shuffle.dedup import find_distinct_rows
from headrace.prepare.shuffle.dedup_across_partitions import UnreadKeys, write_cross_duplicates
from headrace.prepare.shuffle.file_buffers import FileBuffers
from headrace.prepare.shuffle.map import make_map_function
from headrace.prepare.shuffle.options import BUFFER_BYTES, ShuffleOptions
from headrace.prepare.shuffle.partitioner import distribute_evenly
from headrace.prepare.shuffle.task_counts import TaskCounts, count_values, find_missing
from headrace.source.dictionaries import concat_to_one_chunk, encode_texts
from headrace.source.internal_columns import (
    BASELINE,
    BUCKET,
    FILE,
    KEY_DIGEST,
    LABEL,
    PARTITION,
    ROW_ID,
    WEIGHT,
    with_safe_names,
)
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.arrow import read_columns
from headrace.transform.rules import find_nulled
from headrace.transform.summaries import LABEL_KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A task takes targets one after the other, with the rows of this many files in all, where there are
# enough for all cores: a Python task costs some 0.2 s before it does anything (1 million rows, 16
# targets, all of prepare: 47 s of CPU in Python with a task for each target and 42 tasks that
# merge, 32 s with 8 and 4). It holds the blobs of all of them and the rows of one once more:
# sorting the blobs first took the JVM 10 s of CPU at 5 million rows, and Python as much.
_FILES_PER_TASK = 8


def shuffle_rows(
    rows: "DataFrame", options: ShuffleOptions, unread: "DataFrame | None" = None
) -> "DataFrame":
    """Shuffle rows, and collect their statistics.

    Args:
        rows: as `assign.assign_rows` makes them.
        options: of the shuffle.
        unread: blobs of the keys of rows that are not read again, see
            `dedup_across_partitions.read_unread_keys`.

    Returns:
        blobs: ROWS of every data file, COUNTS, NUMBERS and TEXTS, and READ_KEYS where they are
        collected; not yet computed.
    """
    import pyspark.sql.functions as F

    blobs = with_safe_names(rows).mapInArrow(make_map_function(options, rows.columns), BLOB_DDL)
    cores = find_engine(rows.sparkSession).get_parallelism()
    if unread is not None:
        blobs = blobs.unionAll(unread)
    # Lists and images are large: their tasks hold one target each.
    files_per_task = 1 if options.has_large_rows else _FILES_PER_TASK

    def count_tasks(files: int, at_most: int) -> int:
        return min(at_most, max(4 * cores, files // files_per_task))

    partitioner = options.partitioner
    if partitioner.targets_per_bucket > 1:  # a task for each: it holds some rows of one at a time
        tasks = partitioner.buckets
        by_bucket = blobs.repartition(tasks, distribute_evenly(F.col("target"), tasks))
        blobs = by_bucket.mapInArrow(make_bucket_function(partitioner), BLOB_DDL)
    files_of_rows = partitioner.targets * partitioner.files_per_target
    target = F.col("target")
    if partitioner.fits_one_task(cores, large=options.has_large_rows):
        tasks = count_tasks(files_of_rows, partitioner.groups)
        group = F.floor(target / partitioner.targets_per_group)
        by_group = blobs.repartition(tasks, distribute_evenly(group, tasks))
        return by_group.mapInArrow(make_reduce_function(options, whole_groups=True), BLOB_DDL)
    tasks = count_tasks(files_of_rows, partitioner.targets)
    by_target = blobs.repartition(tasks, distribute_evenly(target, tasks))
    reduced = by_target.mapInArrow(make_reduce_function(options, whole_groups=False), BLOB_DDL)
    tasks = count_tasks(partitioner.files, partitioner.files)
    return reduced.repartition(tasks, distribute_evenly(target, tasks))


def make_reduce_function(
    options: ShuffleOptions, *, whole_groups: bool
) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Make the function for `mapInArrow` that reduces the blobs of a task's targets.

    Args:
        options: of the shuffle.
        whole_groups: whether the task has all targets of its groups, and so all rows of their
            files; else the rows are sent on in chunks.
    """

    def reduce_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        yield from reduce_targets(group_by_target(batches), options, whole_groups=whole_groups)

    return reduce_batches


def reduce_targets(
    targets: Iterable[tuple[int, Sequence[StoredBlob]]],
    options: ShuffleOptions,
    *,
    whole_groups: bool,
) -> Iterator[pa.RecordBatch]:
    """Reduce the blobs of targets, which come in the order of their numbers.

    Args:
        targets: number and blobs of each.
        options, whole_groups: see `make_reduce_function`.

    Yields:
        batches of blobs.
    """
    partitioner = options.partitioner
    buffers = FileBuffers(options.seed)
    last_group = 0
    last_target: int | None = None
    task_counts = TaskCounts()
    for target, blobs in targets:
        last_target = target
        group = target // partitioner.targets_per_group
        if whole_groups and group != last_group:
            yield from buffers.flush_files()
        last_group = group
        for kind, _, _, blob in blobs:
            if kind == COUNTS:
                task_counts.add_counts(TaskCounts.from_bytes(blob.to_pybytes()))
        tables = {
            table_kind: [read_ipc(blob) for kind, _, _, blob in blobs if kind == table_kind]
            for table_kind in TABLES
        }
        if not tables[ROWS]:
            continue
        table = concat_to_one_chunk(tables[ROWS])
        counts = TaskCounts()
        distinct, losses = find_distinct_rows(table, options.raw_columns)
        unread = UnreadKeys.from_tables(tables[PUBLISHED_KEYS], tables[LOST_KEYS])
        distinct, cross_duplicates = unread.settle_duplicates(
            table, distinct, losses, options.partition_index, counts
        )
        if cross_duplicates.num_rows:
            write_cross_duplicates(cross_duplicates, options.duplicates_folder, target)
        rows, summaries = _summarize_rows(table, distinct, options, target, counts)
        task_counts.add_counts(counts)
        if options.collect_keys:
            summaries.append(_pack_keys(table, distinct, target))
        yield BlobBuilder.from_blobs(summaries).build_batch()
        for file, part in _split_by_file(rows):
            buffers.add_rows(file, part)
        if not whole_groups and buffers.bytes >= BUFFER_BYTES:
            yield from buffers.flush_chunks()
    yield from buffers.flush_files() if whole_groups else buffers.flush_chunks()
    if last_target is not None:
        # One for all targets of the task: those of all tasks are merged in one.
        blob = task_counts.to_bytes()
        yield BlobBuilder.from_blobs([(COUNTS, "", last_target, blob)]).build_batch()


def _pack_keys(table: pa.Table, distinct: np.ndarray, target: int) -> Blob:
    """Return the row ids of the rows that stay and have a key; the name spreads them over tasks."""
    has_key = table[KEY_DIGEST].is_valid().to_numpy()
    row_ids = table[ROW_ID].to_numpy()[distinct[has_key[distinct]]]
    return READ_KEYS, f"{READ_KEYS} {target % 64}", target, row_ids.tobytes()


def _split_by_file(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of one file after the other, of rows that are in the order of FILE."""
    file = rows[FILE].to_numpy()
    rows = rows.drop_columns([FILE])
    bounds = (np.flatnonzero(np.diff(file)) + 1).tolist()
    for begin, end in zip([0, *bounds], [*bounds, len(file)], strict=True):
        if end > begin:
            yield int(file[begin]), rows.slice(begin, end - begin)


def _summarize_rows(
    table: pa.Table,
    distinct: np.ndarray,
    options: ShuffleOptions,
    target: int,
    counts: TaskCounts,
) -> tuple[pa.Table, list[Blob]]:
    """Order a target's rows by the file that they go to, and summarize them.

    Args:
        table: all rows of the target.
        distinct: positions of the rows that stay.
        options: of the shuffle.
        target: its number.
        counts: takes the rows of every bucket, duplicates and missing values.

    Returns:
        the rows that stay, with FILE; and blobs of NUMBERS and TEXTS.
    """
    fit_inputs, partitioner = options.fit_inputs, options.partitioner
    partition = table[PARTITION].to_numpy()
    is_duplicate = np.ones(len(partition), bool)
    is_duplicate[distinct] = False
    counts.duplicates = count_values(partition[is_duplicate])
    bucket, partition = table[BUCKET].to_numpy()[distinct], partition[distinct]
    identity = table[ROW_ID].to_numpy()[distinct]
    counts.published += count_values(bucket)
    file = partitioner.assign_files(partition, identity)
    order = np.argsort(file, kind="stable")
    distinct, file, bucket = distinct[order], file[order], bucket[order]
    names = [*options.raw_columns, BUCKET, LABEL, ROW_ID]
    names += [name for name in (WEIGHT, BASELINE) if name in table.column_names]
    table = table.select(names).take(pa.array(distinct))
    rules = fit_inputs.rules or ()
    nulled = find_nulled(table, fit_inputs.raw, rules)
    for name in fit_inputs.raw:
        is_missing = find_missing(table[name]) | nulled.get(name, False)
        missing = np.bincount(bucket[is_missing], minlength=len(SPLITS))
        for split, rows in enumerate(missing.tolist()):
            if rows:
                counts.nulls[name, split] = rows
    summaries: list[Blob] = []
    if options.collect_statistics:
        train = encode_texts(table.filter(pa.array(bucket == 0)))
        columns = read_columns(train, fit_inputs.raw, fit_inputs.list_derived_columns(), rules)
        for key, request in fit_inputs.collect_summary_requests().items():
            summary = request.summarize(columns)
            summaries.append((_get_blob_kind(summary), key, target, summary.to_bytes()))
        label = fit_inputs.summarize_labels(train[LABEL])
        summaries.append((_get_blob_kind(label), LABEL_KEY, target, label.to_bytes()))
    return table.append_column(FILE, pa.array(file)), summaries


def _get_blob_kind(summary: object) -> str:
    from headrace.columns.statistics import TextCounts

    return TEXTS if isinstance(summary, TextCounts) else NUMBERS
