"""Rows as the tasks of the shuffle get them, and options for a shuffle of one column."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from headrace.columns.statistics import read_ipc
from headrace.features.scaled import StandardizeSection
from headrace.prepare.shuffle.arrow_blobs import COUNTS, ROWS, read_blobs
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.source.internal_columns import (
    BUCKET,
    LABEL,
    PARTITION,
    PROBLEMS,
    ROW_ID,
    TIE_BREAKER,
    name_mask,
)
from headrace.source.partition_index import PartitionIndex
from headrace.transform.fit import FitInputs

ONE_PARTITION = PartitionIndex(("",), np.zeros(0, np.int64), np.zeros(0, np.int32))


def options(partitioner: Partitioner, *, checks: int = 0, **more: object) -> ShuffleOptions:
    """Options of a shuffle of the raw column `x`, standardized."""
    defaults: dict[str, object] = {
        "fit_inputs": FitInputs({"x": "real"}, {}, {"x": StandardizeSection(kind="standardize")}),
        "checks": checks,
        "partitioner": partitioner,
        "seed": 0,
        "partition_index": ONE_PARTITION,
        "duplicates_folder": "/dev/null/no-duplicates-expected",
    }
    return ShuffleOptions(**(defaults | more))  # type: ignore[arg-type]


def row(identity: int | None, bucket: int, x: float, **more: object) -> dict[str, object]:
    """A row of the first job; 1 is its label."""
    return {"x": x, ROW_ID: identity, BUCKET: bucket, LABEL: 1.0, TIE_BREAKER: 5} | more


def batch_of(rows: list[dict[str, object]]) -> pa.RecordBatch:
    kinds = {
        "x": pa.float64(), ROW_ID: pa.int64(), BUCKET: pa.int32(), LABEL: pa.float64(),
        TIE_BREAKER: pa.int64(),
        PROBLEMS: pa.string(), name_mask(0): pa.int64(), PARTITION: pa.int32(),
    }  # fmt: skip
    names = list(rows[0])
    arrays = [pa.array([r[n] for r in rows], kinds.get(n)) for n in names]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def counts_of(batches: Iterable[pa.RecordBatch]) -> TaskCounts:
    """All COUNTS in blobs, added up."""
    total = TaskCounts()
    for batch in batches:
        for kind, _, _, blob in read_blobs(batch):
            if kind == COUNTS:
                total.add_counts(TaskCounts.from_bytes(blob.to_pybytes()))
    return total


def rows_of(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, str, pa.Table]]:
    """Target, name and rows of all ROWS in blobs."""
    for batch in batches:
        for kind, name, target, blob in read_blobs(batch):
            if kind == ROWS:
                yield target, name, read_ipc(blob)
