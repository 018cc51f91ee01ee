"""Inside Spark's tasks: raw rows to predictions, written as Parquet where they belong.

Rows come as Arrow batches. The transform runs on whole columns (`transform.arrow`, the execution
that made the training data), the network in TensorFlow on some ten thousand rows at once. The task
writes its files itself and tells the driver which are whole; a task that dies leaves a file that no
commit names, and its second attempt writes another one.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.errors import ModelError
from headrace.lake.build import sidecar_folder
from headrace.lake.histogram import Axis
from headrace.lake.score_record import PredictionFile
from headrace.models.reference import count_predictions
from headrace.score.files import Files, Output
from headrace.score.network import Network, network_of
from headrace.score.reading import OWN
from headrace.source.dictionaries import decoded, encoded, joined
from headrace.source.internal_columns import BUCKET, FILE, PROBLEMS
from headrace.source.late_materialization import Late, LateReader
from headrace.source.partition_index import Places
from headrace.source.quarantine.in_tasks import Rejected
from headrace.transform.arrow import ArrowTransform, stacked_inputs
from headrace.transform.spec import LabelSpec, TransformSpec

if TYPE_CHECKING:
    from pyspark import Broadcast

DDL = "found binary"
_ELEMENTS = 4_194_304  # numbers of a prediction's inputs at most: lists and images are wide


@dataclass(frozen=True)
class Scoring:
    """What the tasks need to know.

    Attributes:
        output: where they write.
        spec_json: the model's transform.
        model: name of the model's file among those that Spark sent.
        places: source partitions of the rows.
        partition_columns: of the table that is scored.
        written: columns that are written as they are.
        constants: column -> value in all rows.
        threshold: of a binary label, and of each of several.
        batch_rows: see `recipe.sections.Score`.
        axes: what the transform's columns are counted on.
        prediction_axis: likewise; None where the model has no reference.
        checks: names of all checks.
        late: columns that the tasks read themselves.
    """

    output: Output
    spec_json: str
    model: str
    places: Places
    partition_columns: tuple[str, ...]
    written: tuple[str, ...]
    constants: dict[str, Any]
    threshold: float
    batch_rows: int
    axes: tuple[Axis, ...]
    prediction_axis: Axis | None
    checks: tuple[str, ...]
    late: Late | None = None


@dataclass
class Found:
    """What tasks tell; adds up.

    Attributes:
        files: that were written.
        buckets: (source partition's position, bucket) -> rows.
        counts: column -> rows in each bin or with each label.
        unknown: column -> values out of the vocabulary.
        predictions: rows in each bin, or of each class.
        kept_aside, quarantine_files: rejected rows that the tasks wrote to the quarantine, and the
            names of the files.
    """

    files: list[PredictionFile] = field(default_factory=list)
    buckets: Counter[tuple[int, int]] = field(default_factory=Counter)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    predictions: np.ndarray | None = None
    kept_aside: int = 0
    quarantine_files: list[str] = field(default_factory=list)

    def add_counts(self, name: str, counts: np.ndarray) -> None:
        self.counts[name] = self.counts[name] + counts if name in self.counts else counts

    def add_predictions(self, counts: np.ndarray) -> None:
        self.predictions = counts if self.predictions is None else self.predictions + counts

    def to_bytes(self) -> bytes:
        plain = {
            "files": [file.model_dump() for file in self.files],
            "buckets": [[*key, rows] for key, rows in self.buckets.items()],
            "counts": {name: counts.tolist() for name, counts in self.counts.items()},
            "unknown": dict(self.unknown),
            "kept_aside": self.kept_aside,
            "quarantine_files": self.quarantine_files,
            "predictions": None if self.predictions is None else self.predictions.tolist(),
        }
        return json.dumps(plain).encode()

    def add_bytes(self, blob: bytes) -> None:
        plain = json.loads(blob)
        self.files += [PredictionFile.model_validate(file) for file in plain["files"]]
        for partition, bucket, rows in plain["buckets"]:
            self.buckets[partition, bucket] += rows
        for name, counts in plain["counts"].items():
            self.add_counts(name, np.array(counts, np.int64))
        self.unknown.update(plain["unknown"])
        self.kept_aside += plain["kept_aside"]
        self.quarantine_files += plain["quarantine_files"]
        if plain["predictions"] is not None:
            self.add_predictions(np.array(plain["predictions"], np.int64))


def scorer(
    shared: "Broadcast[Scoring]", names: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function for `mapInArrow`; it yields one row a task, `Found` as bytes.

    Args:
        shared: what the tasks need.
        names: of the columns, which Spark would resolve as SQL.
    """

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import SparkFiles, TaskContext

        scoring = shared.value
        context = TaskContext.get()
        assert context is not None
        # Of its own for every attempt: one that is thought dead may still be writing.
        place = f"{context.partitionId():05d}-{context.taskAttemptId()}"
        transform = _transform_of(scoring.spec_json)
        model, threads = SparkFiles.get(scoring.model), max(1, context.cpus())
        with ThreadPoolExecutor(1) as beside:
            # The first time in a process it takes seconds, in which Spark makes the first rows.
            loading = beside.submit(network_of, model, transform.spec, threads)
            found = Found()
            files = Files(scoring.output, place)
            rejected = None
            if scoring.late:
                own = sidecar_folder(scoring.output.root, scoring.output.build_id)
                rejected = Rejected(
                    scoring.late,
                    f"{own}/quarantine",
                    f"part-{place}",
                    scoring.checks,
                    scoring.partition_columns,
                )
            for rows in _pieces(batches, names, scoring, found, transform.spec, rejected):
                _predict(rows, scoring, transform, loading.result(), found, files)
            found.files = files.close()
            if rejected:
                found.kept_aside, found.quarantine_files = rejected.write()
        yield pa.RecordBatch.from_pydict({"found": [found.to_bytes()]})

    return score


@lru_cache(maxsize=1)
def _transform_of(text: str) -> ArrowTransform:
    """Made once a Python worker: a vocabulary may have millions of values."""
    return ArrowTransform(TransformSpec.from_json(text))


def _pieces(
    batches: Iterable[pa.RecordBatch],
    names: list[str],
    scoring: Scoring,
    found: Found,
    spec: TransformSpec,
    rejected: Rejected | None,
) -> Iterator[pa.Table]:
    """Rows to score, some ten thousand at once, with their source partition's position."""
    most = _rows_at_once(spec, scoring.batch_rows)
    reader = LateReader(scoring.late) if scoring.late else None
    held: list[pa.Table] = []
    rows = 0
    for unnamed in batches:
        for begin in range(0, unnamed.num_rows, most):
            batch = pa.RecordBatch.from_arrays(unnamed.slice(begin, most).columns, names=names)
            table = _counted(pa.Table.from_batches([batch]), scoring, found, reader, rejected)
            if not table.num_rows:
                continue
            held.append(table)
            rows += table.num_rows
            if rows >= most:
                yield encoded(joined(held))
                held, rows = [], 0
    if held:
        yield encoded(joined(held))


def _rows_at_once(spec: TransformSpec, batch_rows: int) -> int:
    width = sum(int(np.prod(item.shape)) for item in spec.inputs.values())
    width += 8 * len(spec.label.classes)  # names and numbers of all labels of a row
    return max(16, min(batch_rows, _ELEMENTS // max(1, width)))


_PARTITION = "__headrace_partition"


def _counted(
    table: pa.Table,
    scoring: Scoring,
    found: Found,
    reader: LateReader | None,
    rejected: Rejected | None,
) -> pa.Table:
    """Count the rows of every bucket, and leave those that are scored."""
    if scoring.places.by_file:
        partition = scoring.places.of_rows(table[FILE].to_numpy())
    else:
        partition = np.zeros(table.num_rows, np.int32)
    bucket = table[BUCKET].to_numpy()
    pairs, rows = np.unique(np.stack([partition, bucket]), axis=1, return_counts=True)
    for (p, b), n in zip(pairs.T.tolist(), rows.tolist(), strict=True):
        found.buckets[p, b] += n
    out = bucket != 0
    if rejected and out.any():
        rejected.add(table.filter(pa.array(out)))
    if PROBLEMS in table.column_names:
        table = table.drop_columns([PROBLEMS])
    table = table.append_column(_PARTITION, pa.array(partition))
    if reader:  # before rows are left out: it reads what lies one behind the other
        table = reader.completed(table)
    return table.filter(pa.array(~out)) if out.any() else table


def _predict(
    rows: pa.Table,
    scoring: Scoring,
    transform: ArrowTransform,
    network: Network,
    found: Found,
    files: Files,
) -> None:
    columns = transform(rows)
    for axis in scoring.axes:
        if axis.name in columns:
            found.add_counts(axis.name, axis.count(columns[axis.name]))
            found.unknown[axis.name] += axis.count_unknown(columns[axis.name])
    output = network(stacked_inputs(columns, transform.spec))
    bad = int((~np.isfinite(output.reshape(len(output), -1)).all(axis=1)).sum())
    if bad:
        raise ModelError(
            f"{bad:,} of {len(output):,} predictions are not finite; nothing was published. A "
            "feature holds extreme values, or the model is damaged"
        )
    if scoring.prediction_axis:
        label, threshold = transform.spec.label, scoring.threshold
        counts = count_predictions(scoring.prediction_axis, output, label, threshold)
        found.add_predictions(np.array(counts))
    schema = scoring.output.schema
    made: dict[str, Any] = {name: _as_read(rows, name) for name in scoring.written}
    made |= predictions_of(output, transform.spec.label, scoring.threshold)
    for name, value in scoring.constants.items():
        made[name] = pa.array(np.full(len(output), value), schema.field(name).type)
    arrays = [made[name] for name in schema.names]
    files.add(pa.Table.from_arrays(arrays, schema=schema), rows[_PARTITION].to_numpy())


def predictions_of(output: np.ndarray, label: LabelSpec, threshold: float) -> dict[str, pa.Array]:
    """What the registered model's `predict` returns of the network's output, as Arrow columns.

    Args:
        output: float64 (rows,) or (rows, classes).
        label: what it means.
        threshold: of a binary label, and of each of several.
    """
    if label.kind == "classes":
        best = output.argmax(axis=1)
        names = pa.array(label.classes, pa.string()).take(pa.array(best))
        return {"prediction": names, "probability": pa.array(output.max(axis=1))}
    if label.kind == "multi_label":
        return _several(output, label.classes, threshold)
    if label.kind == "regression":
        return {"prediction": pa.array(output)}
    named = (output >= threshold).astype(np.int64)
    return {"prediction": pa.array(named), "probability": pa.array(output)}


def _several(output: np.ndarray, labels: tuple[str, ...], threshold: float) -> dict[str, pa.Array]:
    """Lists of the labels from the threshold on, and maps of all to their probability."""
    named = output >= threshold
    names = pa.array(labels, pa.string())
    ends = np.append(0, named.sum(axis=1).cumsum()).astype(np.int32)
    each = np.arange(len(output) + 1, dtype=np.int32) * len(labels)
    every = names.take(pa.array(np.tile(np.arange(len(labels)), len(output))))
    return {
        "prediction": pa.ListArray.from_arrays(ends, names.take(pa.array(np.nonzero(named)[1]))),
        "probability": pa.MapArray.from_arrays(each, every, pa.array(output.reshape(-1))),
    }


def _as_read(rows: pa.Table, name: str) -> pa.ChunkedArray:
    own = f"{OWN}{name}"
    return decoded(rows[own if own in rows.column_names else name])
