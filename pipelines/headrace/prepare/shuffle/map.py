"""Partition a task's rows by bucket, into one Arrow blob per bucket: the map side of the first
job's shuffle. A bucket is a target, or some of them where they are many, see `partitioner.py`.

Rows with equal ROW_ID go to the same target. Rows that are not published are counted here and left
out, and so are duplicates that a task sees itself; late columns are read here.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.lake.data_file import SPLITS
from headrace.prepare.shuffle.arrow_blobs import (
    COUNTS,
    ROWS,
    BlobBuilder,
    forget_archives,
)
from headrace.prepare.shuffle.buckets import BUFFER_ROWS, divide_rows
from headrace.prepare.shuffle.dedup import fold_duplicates
from headrace.prepare.shuffle.join_keys import JoinKeys
from headrace.prepare.shuffle.options import BUFFER_BYTES, ShuffleOptions
from headrace.prepare.shuffle.row_hash import hash_rows
from headrace.prepare.shuffle.task_counts import TaskCounts, count_pairs, count_values
from headrace.source.dictionaries import estimate_decoded_bytes
from headrace.source.internal_columns import (
    BUCKET,
    FILE,
    KEY_DIGEST,
    LABEL,
    PARTITION,
    PROBLEMS,
    ROW_ID,
    TIE_BREAKER,
    list_join_keys,
    name_mask,
)
from headrace.source.invalid_texts import list_text_columns, refuse_invalid_texts
from headrace.source.keys import DIGEST_BYTES
from headrace.source.late_reader import LateReader
from headrace.source.partition_index import PartitionIndex
from headrace.source.problems import split_problems
from headrace.source.rules import CHECKS_PER_MASK

# It takes rows in chunks of this size, the first of few rows.
_CHUNK_BYTES, _FIRST_ROWS = 16 * 2**20, 1024


def make_map_function(
    options: ShuffleOptions, names: list[str]
) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Make the function for `mapInArrow` that partitions a task's rows.

    Args:
        options: of the shuffle.
        names: of the columns, which Spark would resolve as SQL.

    Returns:
        function of the rows, as `assign.assign_rows` makes them, to blobs: ROWS of every bucket,
        and COUNTS of the rows that are not published, and of folded duplicates.
    """

    def map_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        counts, join_keys = TaskCounts(), JoinKeys(list_join_keys(names))
        buffered: list[pa.Table] = []
        rows = size = 0
        chunk_rows = _FIRST_ROWS
        reader = LateReader(options.late.value) if options.late else None
        raw, index = list(options.fit_inputs.raw), options.partition_index
        looked_at = [n for n in (*options.raw_columns, LABEL) if n not in options.checked_texts]
        for unnamed in batches:
            batch = pa.RecordBatch.from_arrays(unnamed.columns, names=names)
            partition = _locate_partitions(batch, index)
            _count_rows(batch, partition, options.checks, counts)
            join_keys.add_rows(batch, partition)
            table = pa.Table.from_batches([batch])
            table = _fix_digests(table.drop_columns(_list_count_columns(batch.schema.names)))
            table = table.append_column(PARTITION, pa.array(partition))
            begin = 0
            while begin < table.num_rows:
                chunk = table.slice(begin, chunk_rows)
                begin += chunk.num_rows
                # Rows that are not published are left out when rows are partitioned, which copies
                # them anyway.
                chunk = reader.add_late_columns(chunk) if reader else chunk
                refuse_invalid_texts(chunk, list_text_columns(chunk, looked_at))
                if FILE in chunk.column_names:
                    chunk = chunk.drop_columns([FILE])
                buffered.append(_add_row_ids(chunk, raw))
                rows, size = (
                    rows + buffered[-1].num_rows,
                    size + estimate_decoded_bytes(buffered[-1]),
                )
                chunk_rows = _choose_chunk_rows(buffered[-1])
                if rows >= BUFFER_ROWS or size >= BUFFER_BYTES:
                    yield from _partition_rows(buffered, options, counts)
                    buffered, rows, size = [], 0, 0
        yield from _partition_rows(buffered, options, counts)
        join_keys.write(options.join_keys_folder, index.names)
        yield BlobBuilder.from_blobs([(COUNTS, "", 0, counts.to_bytes())]).build_batch()

    return map_batches


def _choose_chunk_rows(last: pa.Table) -> int:
    """Choose the rows of the next chunk by the size of the last one's."""
    return max(16, _CHUNK_BYTES * last.num_rows // max(estimate_decoded_bytes(last), 1))


def _add_row_ids(table: pa.Table, raw: list[str]) -> pa.Table:
    """Add the ROW_ID of rows without a key: a hash of all of their values."""
    keyless = table[ROW_ID].is_null()
    if not pc.any(keyless).as_py():
        return table
    rows = table.filter(keyless)
    identity = pc.fill_null(table[ROW_ID], 0).to_numpy().copy()
    tie = rows[TIE_BREAKER].to_numpy().view(np.uint64)
    identity[keyless.to_numpy()] = hash_rows([rows[name] for name in raw], tie).view(np.int64)
    index = table.column_names.index(ROW_ID)
    return table.set_column(index, ROW_ID, pa.array(identity))


def _fix_digests(table: pa.Table) -> pa.Table:
    """Give digests of keys, which Spark hands over as bytes of any length, the one that they have:
    they are copied faster so, and with 4 bytes less for each row."""
    if KEY_DIGEST not in table.column_names or not pa.types.is_binary(table[KEY_DIGEST].type):
        return table
    index = table.column_names.index(KEY_DIGEST)
    digests = table[KEY_DIGEST].cast(pa.binary(DIGEST_BYTES))
    return table.set_column(index, KEY_DIGEST, digests)


def _list_count_columns(names: list[str]) -> list[str]:
    """Return the columns that only counts need."""
    counted = {PROBLEMS, *(name_mask(i) for i in range(len(names)))}
    counted |= {*list_join_keys(names).values()}
    return [name for name in names if name in counted]


def _locate_partitions(batch: pa.RecordBatch, index: PartitionIndex) -> np.ndarray:
    """Return the int32 positions of the rows' source partitions."""
    if not index.needs_file:
        return np.zeros(batch.num_rows, np.int32)
    return index.locate_rows(batch[FILE].to_numpy())


def _count_rows(
    batch: pa.RecordBatch, partition: np.ndarray, checks: int, counts: TaskCounts
) -> None:
    """Count the rows of the buckets that are not published, and violations."""
    bucket = batch[BUCKET].to_numpy()
    unpublished = np.flatnonzero(bucket >= len(SPLITS))
    counts.buckets += count_pairs(partition[unpublished], bucket[unpublished])
    for start in range(0, checks, CHECKS_PER_MASK):
        bits = batch[name_mask(start // CHECKS_PER_MASK)].to_numpy()
        bits = bits[bits != 0]
        for check in range(start, min(start + CHECKS_PER_MASK, checks)):
            if violations := int(np.count_nonzero(bits & (1 << (check - start)))):
                counts.violations[check] += violations
    if checks:
        collect_examples(batch[PROBLEMS], counts)


def collect_examples(problems: pa.Array, counts: TaskCounts) -> None:
    """Collect examples of violations from the PROBLEMS of rows, null where there is none."""
    reasons_by_check: dict[int, list[str]] = {}
    for text in problems.drop_null().unique().to_pylist():
        for check, reason in split_problems(text):
            reasons_by_check.setdefault(check, []).append(reason)
    for check, reasons in reasons_by_check.items():
        counts.add_examples(check, reasons)


def _partition_rows(
    buffered: list[pa.Table], options: ShuffleOptions, counts: TaskCounts
) -> Iterator[pa.RecordBatch]:
    """Yield the published rows as blobs, one for each bucket, and empty the buffer; duplicates that
    are folded are counted and left out."""
    if not sum(table.num_rows for table in buffered):
        return
    partitioner = options.partitioner
    rows = pa.concat_tables([table.select([BUCKET, ROW_ID]) for table in buffered])
    published = np.flatnonzero(rows[BUCKET].to_numpy() < len(SPLITS))
    published, folded = fold_duplicates(buffered, published, options.raw_columns)
    counts.duplicates.update(count_values(folded))
    bucket = partitioner.assign_buckets(rows[ROW_ID].to_numpy()[published])
    yield from divide_rows(ROWS, buffered, bucket, partitioner.buckets, chosen=published)
