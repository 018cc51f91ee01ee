"""Measure what the first shuffle of prepare costs a row in Python, by the number of targets.

Each of its rounds is run on one full buffer, such as the tasks of a large lake have, and one target
is reduced, whose rows lie in blobs as large as the last round makes them. There is no Spark: what
it moves is counted.
"""

import numpy as np
import pyarrow as pa

from benchmarks.growth import time_best
from headrace.columns.values import RawKind
from headrace.features.scaled import StandardizeSection
from headrace.features.vocabulary import VocabularySection
from headrace.prepare.shuffle.arrow_blobs import ROWS, BlobBuilder
from headrace.prepare.shuffle.buckets import BUFFER_ROWS, make_bucket_function
from headrace.prepare.shuffle.map import make_map_function
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.partitioner import Partitioner, choose_targets_per_bucket
from headrace.prepare.shuffle.reduce import make_reduce_function
from headrace.source.internal_columns import (
    BUCKET,
    KEY_DIGEST,
    LABEL,
    PARTITION,
    ROW_ID,
    TIE_BREAKER,
)
from headrace.source.keys import DIGEST_BYTES
from headrace.source.partition_index import PartitionIndex
from headrace.transform.fit import FitInputs

_SPARK_ROWS = 10_000  # of a batch that Spark hands over


def draw_rows(rows: int, *, identity: np.ndarray | None = None, seed: int = 1) -> pa.Table:
    """Draw rows of 13 raw numbers and texts with a dedup key, as the map side holds them.

    Args:
        rows: how many.
        identity: their int64 ROW_ID, random by default.
        seed: of all that is random.
    """
    rng = np.random.default_rng(seed)
    whole = np.iinfo(np.int64)
    if identity is None:
        identity = rng.integers(whole.min, whole.max, rows)
    numbers = {f"x{i}": rng.normal(size=rows) for i in range(8)}
    words = pa.array([str(i) for i in range(1000)])
    texts = {f"c{i}": words.take(pa.array(rng.integers(0, 1000, rows))) for i in range(5)}
    digests = [None, pa.py_buffer(rng.bytes(rows * DIGEST_BYTES))]
    return pa.table(
        {
            **numbers,
            **texts,
            LABEL: rng.random(rows),
            BUCKET: rng.integers(0, 3, rows).astype(np.int32),
            ROW_ID: identity,
            TIE_BREAKER: rng.integers(whole.min, whole.max, rows),
            KEY_DIGEST: pa.Array.from_buffers(pa.binary(DIGEST_BYTES), rows, digests),
            PARTITION: np.zeros(rows, np.int32),
        }
    )


def draw_bucket(partitioner: Partitioner) -> pa.RecordBatch:
    """Draw the blobs of a full buffer of bucket 0, as tasks of the first round send them."""
    rng = np.random.default_rng(2)
    inside = rng.integers(0, partitioner.targets_per_bucket, BUFFER_ROWS)
    identity = rng.integers(0, 2**40, BUFFER_ROWS) * partitioner.targets + inside
    rows, blobs = draw_rows(BUFFER_ROWS, identity=identity), BlobBuilder()
    per_blob = BUFFER_ROWS // partitioner.buckets
    for begin in range(0, BUFFER_ROWS, per_blob):
        blobs.add_table(ROWS, "", 0, rows.slice(begin, per_blob))
    return blobs.build_batch()


def build_options(partitioner: Partitioner) -> ShuffleOptions:
    """Build the options of the first job for rows of `draw_rows`, of one source partition."""
    numbers, texts = [f"x{i}" for i in range(8)], [f"c{i}" for i in range(5)]
    features = {
        **{name: StandardizeSection(kind="standardize") for name in numbers},
        **{name: VocabularySection(kind="vocabulary") for name in texts},
    }
    raw: dict[str, RawKind] = {**dict.fromkeys(numbers, "real"), **dict.fromkeys(texts, "string")}
    return ShuffleOptions(
        fit_inputs=FitInputs(raw, {}, features),
        checks=0,
        partitioner=partitioner,
        seed=0,
        partition_index=PartitionIndex(("",), np.zeros(0, np.int64), np.zeros(0, np.int32)),
        duplicates_folder="",
    )


def draw_target(partitioner: Partitioner, blob_rows: int) -> pa.RecordBatch:
    """Draw the blobs of all rows of target 0, a full buffer of them, as they reach its task."""
    rng = np.random.default_rng(3)
    identity = rng.integers(0, 2**40, BUFFER_ROWS) * partitioner.targets
    rows, blobs = draw_rows(BUFFER_ROWS, identity=identity), BlobBuilder()
    for begin in range(0, BUFFER_ROWS, blob_rows):
        blobs.add_table(ROWS, "", 0, rows.slice(begin, blob_rows))
    return blobs.build_batch()


def measure_first_shuffle(targets: int) -> dict[str, float]:
    """Divide rows to that many targets in one round or two, and reduce those of one.

    Returns:
        processor time of a row in microseconds, in all and without the reduction, whose work is to
        be done however rows reach it; blobs for every thousand rows, and bytes of a row, of all
        rounds.
    """
    partitioner = Partitioner(targets, 1, (4,), 1, choose_targets_per_bucket(targets))
    options = build_options(partitioner)
    batches = draw_rows(BUFFER_ROWS).drop_columns([PARTITION]).to_batches(_SPARK_ROWS)
    map_rows = make_map_function(options, batches[0].schema.names)
    rounds = [lambda: list(map_rows(batches))]
    if partitioner.targets_per_bucket > 1:
        bucket = draw_bucket(partitioner)
        rounds.append(lambda: list(make_bucket_function(partitioner)([bucket])))
    moved = [run() for run in rounds]
    blobs = [sum(batch.num_rows for batch in batches) for batches in moved]
    size = sum(batch.nbytes for batches in moved for batch in batches)
    target = draw_target(partitioner, max(1, BUFFER_ROWS // blobs[-1]))
    del moved
    moving = sum(time_best(run, 3) for run in rounds)
    reduce_rows = make_reduce_function(options, whole_groups=True)
    reducing = time_best(lambda: list(reduce_rows([target])), 3)
    return {
        "microseconds_per_row": (moving + reducing) / BUFFER_ROWS * 1e6,
        "moving": moving / BUFFER_ROWS * 1e6,
        "blobs_per_1000_rows": sum(blobs) / BUFFER_ROWS * 1000,
        "bytes_per_row": size / BUFFER_ROWS,
    }
