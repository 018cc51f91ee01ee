"""Predict inside tasks, of Spark or of `local`: raw rows in, predictions out, written as Parquet.

Rows come as Arrow batches. The transform runs on whole columns (`transform.arrow`, the execution
that made the training data), the network in TensorFlow on some ten thousand rows at once. The task
writes its files itself and tells the driver which are whole; a task that dies leaves a file that no
commit names, and its second attempt writes another one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.columns.histogram import HistogramAxis
from headrace.errors import ModelError
from headrace.features.stored_texts import TextFolder
from headrace.models.reference import count_predictions
from headrace.score.files import PredictionLayout, PredictionWriter
from headrace.score.network import Network, load_network
from headrace.score.task_results import TaskResults
from headrace.source.dictionaries import concat_to_one_chunk, decode_column, encode_texts
from headrace.source.internal_columns import BUCKET, FILE, PARTITION, PROBLEMS, name_output_copy
from headrace.source.invalid_texts import list_text_columns, refuse_invalid_texts
from headrace.source.late_materialization import LateColumns
from headrace.source.late_reader import LateReader
from headrace.source.partition_index import PartitionIndex
from headrace.source.quarantine.in_tasks import RejectedRows
from headrace.source.quarantine.writer import locate_quarantine
from headrace.spark_engine.engine import Shared
from headrace.transform.arrow import ArrowTransform, load_transform, stack_inputs
from headrace.transform.spec import TransformSpec

RESULTS_DDL = "results binary"
# A chunk that lost some rows is full enough: rows are copied where chunks are put together.
_FULL_SHARE = 0.75
_MAX_INPUTS = 4_194_304  # numbers in the inputs of one prediction: lists and images are wide


@dataclass(frozen=True)
class ScoreOptions:
    """The options of the tasks.

    Attributes:
        output: of their files.
        spec_json: the model's transform.
        model: name of the model's file among those that Spark sent.
        partition_index: source partitions of the rows.
        partition_columns: of the table that is scored.
        text_files: whether files of the transform's vocabularies are among those that Spark sent.
        logged_values: path of a file -> partition column -> value, where a log says them.
        written: columns that are written as they are.
        constants: column -> value in all rows.
        threshold: of a binary label, and of each of several.
        batch_rows: see `recipe.sections.Score`.
        axes: what the transform's columns are counted on.
        prediction_axis: likewise; None where the model has no reference.
        checks: names of all checks.
        late: columns that the tasks read themselves.
    """

    output: PredictionLayout
    spec_json: str
    model: str
    partition_index: PartitionIndex
    partition_columns: tuple[str, ...]
    written: tuple[str, ...]
    constants: dict[str, Any]
    threshold: float
    batch_rows: int
    axes: tuple[HistogramAxis, ...]
    prediction_axis: HistogramAxis | None
    checks: tuple[str, ...]
    late: LateColumns | None = None
    text_files: bool = False
    logged_values: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


def build_scorer(
    shared: Shared[ScoreOptions], names: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow`; each task yields one row, `TaskResults` as bytes.

    Args:
        shared: the options, broadcast.
        names: of the columns, which Spark would resolve as SQL.
    """

    def run_task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import SparkFiles, TaskContext

        options = shared.value
        context = TaskContext.get()
        assert context is not None
        # Every attempt has its own name: one that is thought dead may still be writing.
        task = f"{context.partitionId():05d}-{context.taskAttemptId()}"
        files = None
        if options.text_files:
            files = TextFolder(SparkFiles.getRootDirectory(), "the files that Spark sent")
        transform = load_transform(options.spec_json, files)
        model, threads = SparkFiles.get(options.model), max(1, context.cpus())
        results = score_batches(
            batches, names, options, task, transform,
            lambda: load_network(model, transform.spec, threads),
        )  # fmt: skip
        yield pa.RecordBatch.from_pydict({"results": [results.to_bytes()]})

    return run_task


def score_batches(
    batches: Iterable[pa.RecordBatch],
    names: list[str],
    options: ScoreOptions,
    task: str,
    transform: ArrowTransform,
    load: Callable[[], Network],
) -> TaskResults:
    """Predict the rows of a task, write the predictions, and keep the rejected rows.

    Args:
        batches: rows in the order of their files: the model's raw columns that are not read late,
            the written ones, BUCKET, and where they are needed FILE, POSITION and PROBLEMS.
        names: of their columns.
        options: of all tasks.
        task: in the names of this attempt's files, and in those of no other one.
        transform: the model's.
        load: loads the network.
    """
    with ThreadPoolExecutor(1) as background:
        # The first time in a process it takes seconds, in which the first rows are read.
        loading = background.submit(load)
        results = TaskResults()
        writer = PredictionWriter(options.output, task)
        rejected = None
        if options.late:
            rejected = RejectedRows(
                options.late,
                locate_quarantine(options.output.root, options.output.build_id),
                task,
                options.checks,
                options.partition_columns,
                options.logged_values,
            )
        for rows in _read_chunks(batches, names, options, results, transform.spec, rejected):
            _predict_chunk(rows, options, transform, loading.result(), results, writer)
        results.files = writer.close()
        if rejected:
            results.quarantined_rows, results.quarantine_files = rejected.write_files()
    return results


def _read_chunks(
    batches: Iterable[pa.RecordBatch],
    names: list[str],
    options: ScoreOptions,
    results: TaskResults,
    spec: TransformSpec,
    rejected: RejectedRows | None,
) -> Iterator[pa.Table]:
    """Yield rows to score, some ten thousand at once, with their source partition's position."""
    chunk_rows = choose_chunk_rows(spec, options.batch_rows)
    reader = LateReader(options.late) if options.late else None
    held: list[pa.Table] = []
    rows = 0
    for unnamed in batches:
        for begin in range(0, unnamed.num_rows, chunk_rows):
            batch = pa.RecordBatch.from_arrays(
                unnamed.slice(begin, chunk_rows).columns, names=names
            )
            table = _count_and_filter(
                pa.Table.from_batches([batch]), options, results, reader, rejected
            )
            if not table.num_rows:
                continue
            held.append(table)
            rows += table.num_rows
            if rows >= chunk_rows * _FULL_SHARE:
                yield encode_texts(concat_to_one_chunk(held))
                held, rows = [], 0
    if held:
        yield encode_texts(concat_to_one_chunk(held))


def choose_chunk_rows(spec: TransformSpec, batch_rows: int) -> int:
    """Choose how many rows are predicted at once."""
    width = sum(int(np.prod(item.shape)) for item in spec.inputs.values())
    width += 8 * len(spec.label.classes)  # names and numbers of all labels of a row
    return max(16, min(batch_rows, _MAX_INPUTS // max(1, width)))


def _count_and_filter(
    table: pa.Table,
    options: ScoreOptions,
    results: TaskResults,
    reader: LateReader | None,
    rejected: RejectedRows | None,
) -> pa.Table:
    """Count the rows of every bucket, and return those that are scored."""
    if options.partition_index.needs_file:
        partition = options.partition_index.locate_rows(table[FILE].to_numpy())
    else:
        partition = np.zeros(table.num_rows, np.int32)
    bucket = table[BUCKET].to_numpy()
    buckets = 1 + int(bucket.max(initial=0))
    pairs, rows = np.unique(partition.astype(np.int64) * buckets + bucket, return_counts=True)
    for pair, count in zip(pairs.tolist(), rows.tolist(), strict=True):
        results.buckets[divmod(pair, buckets)] += count
    is_rejected = bucket != 0
    if rejected and is_rejected.any():
        rejected.add_rows(table.filter(pa.array(is_rejected)))
    if PROBLEMS in table.column_names:
        table = table.drop_columns([PROBLEMS])
    table = table.append_column(PARTITION, pa.array(partition))
    if reader:  # before rows are left out: it reads rows that lie one behind the other
        table = reader.add_late_columns(table)
    table = table.filter(pa.array(~is_rejected)) if is_rejected.any() else table
    named = {name: name for name in table.column_names}
    named |= {name_output_copy(name): name for name in options.written}
    texts = list_text_columns(table, named)
    refuse_invalid_texts(table, {name: named[name] for name in texts})
    return table


def _predict_chunk(
    rows: pa.Table,
    options: ScoreOptions,
    transform: ArrowTransform,
    network: Network,
    results: TaskResults,
    writer: PredictionWriter,
) -> None:
    """Predict a chunk of rows, count them, and write the predictions.

    Raises:
        ModelError: a prediction is not finite.
    """
    columns = transform(rows, results.missing)
    results.rows += rows.num_rows
    for axis in options.axes:
        if axis.column in columns:
            results.add_counts(axis.name, axis.count_values(columns[axis.column]))
            results.unknown[axis.name] += axis.count_unknown(columns[axis.column])
    output = network(stack_inputs(columns, transform.spec))
    not_finite = int((~np.isfinite(output.reshape(len(output), -1)).all(axis=1)).sum())
    if not_finite:
        raise ModelError(
            f"{not_finite:,} of {len(output):,} predictions are not finite; nothing was "
            "published. A feature holds extreme values, or the model is damaged"
        )
    label = transform.spec.label
    if options.prediction_axis:
        counts = count_predictions(options.prediction_axis, output, label, options.threshold)
        results.add_predictions(np.array(counts))
    schema = options.output.schema
    values: dict[str, Any] = {name: _get_as_read(rows, name) for name in options.written}
    values |= label.definition.predict_columns(output, label, options.threshold)
    for name, value in options.constants.items():
        values[name] = pa.array(np.full(len(output), value), schema.field(name).type)
    arrays = [values[name] for name in schema.names]
    writer.add_rows(pa.Table.from_arrays(arrays, schema=schema), rows[PARTITION].to_numpy())


def _get_as_read(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column as it is written, which may be the one that the model reads."""
    written = name_output_copy(name)
    return decode_column(rows[written if written in rows.column_names else name])
