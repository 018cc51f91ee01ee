"""Transform the shuffled rows and write them as Parquet, inside Spark's tasks: the second job.

Writing in the task itself gives exact row groups and tells the driver which files are whole. A
task that dies leaves a file that no commit names. Rows come in pseudo-random order, so readers may
take row groups as they lie.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.columns.dataset_columns import name_passthrough_column
from headrace.columns.histogram import HistogramAxis
from headrace.columns.statistics import read_ipc
from headrace.columns.values import RawKind
from headrace.features.stored_texts import TextFiles
from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.lake.column_totals import write_totals
from headrace.lake.data_file import SPLITS, DataFile
from headrace.lake.part_path import make_part_path
from headrace.lake.profile import FileTally
from headrace.lake.row_sample import RowSample
from headrace.lake.storage import refuse_unseen_file
from headrace.prepare.key_hashes import KeyHashIndex, TaskKeyHashes
from headrace.prepare.shuffle.arrow_blobs import (
    BLOB_DDL,
    ORDERED,
    ROWS,
    Blob,
    StoredBlob,
    build_blob_batch,
    forget_archives,
    group_by_target,
)
from headrace.prepare.shuffle.file_buffers import sort_file_rows
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.task_counts import find_missing
from headrace.prepare.write.parquet_file import Columns, write_data_file
from headrace.prepare.write.raw_examples import join_examples, pack_examples
from headrace.prepare.write.schema import (
    build_file_schema,
    cast_raw_column,
    list_test_columns,
)
from headrace.prepare.write.tally import count_file
from headrace.prepare.write.task_statistics import (
    FileRows,
    SampleOptions,
    TaskStatistics,
    Totals,
    locate_totals,
    read_split_totals,
    sum_totals,
)
from headrace.prepare.write.task_tallies import (
    TaskTallies,
    join_files,
    join_tallies,
    read_sums,
)
from headrace.source.internal_columns import BASELINE, BUCKET, LABEL, ROW_ID, WEIGHT
from headrace.spark_engine.engine import Shared
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.arrow import ArrowTransform, load_transform
from headrace.transform.rules import find_nulled
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_FILE, _TALLY, _UNSEEN, _EXAMPLES = "file", "tally", "unseen", "examples"
_KEY_HASHES, _TOTALS, _SAMPLE = "hashes of keys", "totals", "sample"


@dataclass(frozen=True)
class WriteOptions:
    """The options of the second job, sent to every task with the transform.

    Attributes:
        root: the dataset's folder or URL, seen by every executor.
        build_id: goes into the files' names.
        rows_per_row_group: rows of every row group but a file's last.
        partitioner: says which source partition a file belongs to.
        seed: of the order of rows.
        names: of the source partitions.
        raw: raw columns whose missing values are counted.
        axes: distributions to count.
        class_weights: factor of the loss by class ("true" and "false" for a condition), or empty.
        passthrough: raw columns that are published as they are -> kind.
        stored: raw columns whose values lie beside the rows of the test split.
        examples: raw rows that are picked as examples, of all rows.
        hash_keys: whether hashes of the rows' keys are written for later builds.
        sample: what is collected for the statistics of the rows; None for nothing.
    """

    root: str
    build_id: str
    rows_per_row_group: int
    partitioner: Partitioner
    seed: int
    names: tuple[str, ...]
    raw: tuple[str, ...]
    axes: tuple[HistogramAxis, ...]
    class_weights: dict[str, float]
    passthrough: dict[str, RawKind] = field(default_factory=dict)
    stored: dict[str, StoredColumn] = field(default_factory=dict)
    examples: int = 0
    hash_keys: bool = False
    sample: SampleOptions | None = None

    def count_examples(self, target: int) -> int:
        """Return how many raw rows of a target are picked as examples."""
        if not self.examples or target % max(1, self.partitioner.files // self.examples):
            return 0
        return -(-self.examples // self.partitioner.files)


@dataclass(frozen=True)
class Written:
    """The result of the second job.

    Attributes:
        files: by path.
        tallies: splits, and counts of rows in them; several of a split add up.
        unseen: source partition -> rows of validation and test whose class the train split does not
            have, left out.
        examples: raw rows that are in the dataset, as a Parquet file; None where there are none.
        tallies_file: counts of the rows in each file, as `FileTally.write_tallies` writes them.
        key_hashes: files of hashes of keys; None where there are none.
        totals: split -> exact totals of its columns.
        totals_file: those of each file, as `write_totals` writes them.
        sample: some rows of all files, or all; None where none was wanted.
    """

    files: list[DataFile]
    tallies: list[tuple[str, FileTally]]
    unseen: Counter[str]
    examples: bytes | None = None
    tallies_file: bytes = b""
    key_hashes: KeyHashIndex | None = None
    totals: dict[str, Totals] = field(default_factory=dict)
    totals_file: bytes = b""
    sample: RowSample | None = None


def write_files(blobs: "DataFrame", spec: TransformSpec, options: WriteOptions) -> Written:
    """Write the rows of every target, one file for each split.

    Args:
        blobs: as `shuffle.reduce.shuffle_rows` returns them, cached by Spark.
        spec: the fitted transform.
        options: where and how.
    """
    import pyspark.sql.functions as F

    shared = find_engine(blobs.sparkSession).share((options, spec.to_json(), spec.text_files))
    try:
        rows = blobs.where(F.col("kind") == ROWS).mapInArrow(_build_writer(shared), BLOB_DDL)
        results = rows.collect()
    finally:
        shared.unpersist()
    return assemble_written(results, options)


def assemble_written(results: Iterable[Sequence[Any]], options: WriteOptions) -> Written:
    """Assemble what the tasks of the second job returned.

    Args:
        results: kind, name, target and blob of each.
        options: of the job.
    """
    files: list[DataFile] = []
    tallies: list[tuple[str, FileTally]] = []
    tally_files: list[str] = []
    unseen = Counter[str]()
    examples: list[tuple[int, bytes]] = []
    hash_files: dict[str, dict[str, int]] = {}
    totals: list[tuple[str, Totals]] = []
    totals_files: list[str] = []
    samples: list[RowSample] = []
    for kind, name, target, blob in results:
        if kind == _FILE:
            files.append(DataFile.model_validate_json(bytes(blob)))
        elif kind == _TALLY:
            tallies += read_sums(bytes(blob))
            tally_files.append(name)
        elif kind == _EXAMPLES:
            examples.append((target, bytes(blob)))
        elif kind == _TOTALS:
            totals += read_split_totals(bytes(blob))
            totals_files.append(name)
        elif kind == _SAMPLE:
            samples.append(RowSample.from_bytes(bytes(blob), "a sample of a task"))
        elif kind == _KEY_HASHES:
            hash_files[name] = json.loads(bytes(blob))
        else:
            unseen[name] += int(bytes(blob))
    if files:
        refuse_unseen_file(options.root, files[0].path)
    return Written(
        files=sorted(files, key=lambda f: f.path),
        tallies=tallies,
        unseen=+unseen,
        examples=join_examples([blob for _, blob in sorted(examples)], options.examples),
        tallies_file=join_tallies(options.root, options.build_id, tally_files),
        key_hashes=KeyHashIndex.from_files(hash_files) if hash_files else None,
        totals=sum_totals(totals),
        totals_file=_join_totals(options, totals_files),
        sample=RowSample.merge(samples) if options.sample else None,
    )


def _join_totals(options: WriteOptions, names: list[str]) -> bytes:
    if not names:
        return write_totals([])
    return join_files(locate_totals(options.root, options.build_id), names)


def _build_writer(
    shared: Shared[tuple[WriteOptions, str, TextFiles | None]],
) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that writes the targets of a task."""

    def write_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        forget_archives()
        options, text, files = shared.value
        context = TaskContext.get()
        attempt = context.attemptNumber() if context else 0
        yield from write_targets(
            group_by_target(batches), load_transform(text, files), options, attempt
        )

    return write_batches


def write_targets(
    targets: Iterable[tuple[int, Sequence[StoredBlob]]],
    transform: ArrowTransform,
    options: WriteOptions,
    attempt: int = 0,
) -> Iterator[pa.RecordBatch]:
    """Write the files of targets.

    Args:
        targets: number and ROWS of each.
        transform: the fitted one.
        options: where and how.
        attempt: of the task; its files have names of their own.

    Yields:
        batches of blobs, for `assemble_written`.
    """
    tallies = TaskTallies(options.root, options.build_id, attempt)
    hashes = TaskKeyHashes(options.root, options.build_id, attempt)
    statistics = TaskStatistics(options.root, options.build_id, attempt)
    for target, blobs in targets:
        chunks = [read_ipc(blob) for _, _, _, blob in blobs]
        is_sorted = [name for _, name, _, _ in blobs] == [ORDERED]
        rows = chunks[0] if is_sorted else sort_file_rows(chunks, options.seed)
        yield build_blob_batch(
            _write_target(rows, target, attempt, transform, options, tallies, hashes, statistics)
        )
        if tallies.is_full:
            yield from _write_tallies(tallies)
        if hashes.is_full:
            yield from _write_hashes(hashes)
        if statistics.is_full:
            yield from _write_statistics(statistics)
    yield from _write_tallies(tallies)
    yield from _write_hashes(hashes)
    yield from _write_statistics(statistics)


def _write_tallies(tallies: TaskTallies) -> Iterator[pa.RecordBatch]:
    """Write the tallies that a task holds, and yield the blob for the driver, if there are any."""
    if written := tallies.write_file():
        name, target, sums = written
        yield build_blob_batch([(_TALLY, name, target, sums)])


def _write_hashes(hashes: TaskKeyHashes) -> Iterator[pa.RecordBatch]:
    """Write the hashes of keys that a task holds, and yield what the driver is told of them."""
    if written := hashes.write_file():
        name, rows = written
        yield build_blob_batch([(_KEY_HASHES, name, 0, json.dumps(rows).encode())])


def _write_statistics(statistics: TaskStatistics) -> Iterator[pa.RecordBatch]:
    """Write the totals that a task holds, and yield their sums and the sample, if there are any."""
    if written := statistics.write_file():
        name, target, totals, sample = written
        yield build_blob_batch([(_TOTALS, name, target, totals), (_SAMPLE, "", target, sample)])


def _write_target(
    rows: pa.Table,
    target: int,
    attempt: int,
    transform: ArrowTransform,
    options: WriteOptions,
    tallies: TaskTallies,
    hashes: TaskKeyHashes,
    statistics: TaskStatistics,
) -> list[Blob]:
    """Write the files of a target, and return blobs for the driver.

    Args:
        rows: of the target, the train rows first.
        target: its number.
        attempt: of the task; its files have names of their own.
        transform: the fitted one.
        options: where and how.
        tallies: take the counts of each file's rows.
        hashes: take the hashes of the rows' keys, where they are wanted.
        statistics: take what is wanted of the raw rows.

    Returns:
        of each file what the build records of it; rows that are left out; and examples.
    """
    blobs: list[Blob] = []
    partition = options.names[options.partitioner.get_partition(target)]
    rows, columns, bucket, unseen = _transform_rows(rows, transform, options)
    if options.hash_keys:
        hashes.add_rows(partition, target, columns["row_id"])
    kinds = {column.name: column.kind for column in transform.spec.raw}
    nulled = find_nulled(rows, kinds, transform.spec.rules or ())
    is_missing = {name: find_missing(rows[name]) | nulled.get(name, False) for name in options.raw}
    written: list[FileRows] = []
    for number, split in enumerate(SPLITS):
        begin, end = (int(i) for i in np.searchsorted(bucket, [number, number + 1]))
        if end > begin:
            part = {name: values[begin:end] for name, values in columns.items()}
            # Train and validation go without: nobody slices their rows, and footers stay short.
            stored = options.stored if split == "test" else {}
            for name, column in list_test_columns(options.passthrough, stored).items():
                part[column.name] = cast_raw_column(
                    rows[name].slice(begin, end - begin), column.type
                )
            path = make_part_path(split, options.build_id, target, attempt)
            file = write_data_file(
                part,
                build_file_schema(transform.spec, options.passthrough, stored),
                trained_on=build_file_schema(transform.spec).names,
                rows_per_row_group=options.rows_per_row_group,
                root=options.root,
                path=path,
                split=split,
                partition=partition,
            )
            missing = {name: int(mask[begin:end].sum()) for name, mask in is_missing.items()}
            tallies.add_file(split, target, count_file(path, part, options.axes, missing))
            written.append(FileRows(path, number, begin, end))
            blobs.append((_FILE, "", target, file.model_dump_json().encode()))
    if options.sample:
        statistics.add_rows(target, written, rows, columns, is_missing, options.sample)
    if unseen:
        blobs.append((_UNSEEN, partition, target, str(unseen).encode()))
    if rows.num_rows and (examples := options.count_examples(target)):
        blobs.append((_EXAMPLES, "", target, pack_examples(rows, transform.spec, examples)))
    return blobs


def _transform_rows(
    rows: pa.Table, transform: ArrowTransform, options: WriteOptions
) -> tuple[pa.Table, Columns, np.ndarray, int]:
    """Transform rows to the columns of the dataset.

    Returns:
        the raw rows that stay, their columns of the dataset, and their buckets; and how many rows
        are left out, because the transform does not know their class.
    """
    spec = transform.spec
    label, unseen = spec.label.definition.convert_labels(rows[LABEL], spec.label)
    if unseen.any():
        rows, label = rows.filter(pa.array(~unseen)), label[~unseen]
    # All splits at once: every vocabulary is indexed once for each target.
    columns: Columns = {"row_id": rows[ROW_ID].to_numpy()}
    columns |= transform(rows)
    columns["label"] = label
    if spec.label.weighted:
        columns["sample_weight"] = _compute_weights(rows, label, spec.label, options.class_weights)
    if spec.label.baseline:
        columns["baseline"] = rows[BASELINE].to_numpy().astype(np.float32)
    for name, kind in options.passthrough.items():
        columns[name_passthrough_column(name)] = cast_raw_column(rows[name], kind)
    return rows, columns, rows[BUCKET].to_numpy(), int(unseen.sum())


def _compute_weights(
    rows: pa.Table, label: np.ndarray, spec: LabelSpec, by_class: dict[str, float]
) -> np.ndarray:
    """Compute the factor of the loss of each row, float32: its own, times the one of its class."""
    weights = np.ones(len(label), np.float64)
    if WEIGHT in rows.column_names:
        weights = weights * rows[WEIGHT].to_numpy()
    if by_class:
        names = spec.definition.name_classes(spec)
        factors = np.array([by_class.get(name, 1.0) for name in names])
        weights = weights * factors[label.astype(np.int64)]
    return weights.astype(np.float32)
