"""The reduce side of the shuffle: the rows of a target, deduplicated, counted and sent on."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.columns.statistics import NumberSummary
from headrace.prepare.shuffle.arrow_blobs import (
    COUNTS,
    NUMBERS,
    ORDERED,
    ROWS,
    BlobBuilder,
    read_blobs,
)
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.reduce import make_reduce_function
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.source.internal_columns import BUCKET, KEY_DIGEST, PARTITION, ROW_ID
from headrace.source.partition_index import PartitionIndex
from headrace.transform.summaries import LABEL_KEY
from tests.prepare.shuffle.shuffled import batch_of, counts_of, options, row, rows_of

PARTITIONS = PartitionIndex(("a", "b"), np.array([1, 2]), np.array([0, 1], np.int32))


def blob_batch(targets: dict[int, list[dict[str, object]]]) -> pa.RecordBatch:
    blobs = BlobBuilder()
    for target, rows in targets.items():
        blobs.add_table(ROWS, "", target, pa.Table.from_batches([batch_of(rows)]))
    return blobs.build_batch()


def summaries_of(batches: list[pa.RecordBatch]) -> dict[str, NumberSummary]:
    return {
        name: NumberSummary.from_bytes(blob)
        for batch in batches
        for kind, name, _, blob in read_blobs(batch)
        if kind == NUMBERS
    }


def test_a_whole_group_becomes_files_and_duplicates_go(tmp_path: Path) -> None:
    """One group of two targets; files 0 and 1 are of the partitions a and b."""
    a, b = {PARTITION: 0, KEY_DIGEST: 1}, {PARTITION: 1, KEY_DIGEST: 1}
    function = make_reduce_function(
        options(
            Partitioner(1, 2, (1, 1)), partition_index=PARTITIONS, duplicates_folder=str(tmp_path)
        ),
        whole_groups=True,
    )
    batch = blob_batch(
        {
            0: [row(2, 0, 1.0, **a), row(2, 0, 1.0, **b), row(4, 1, 50.0, **b)],
            1: [row(3, 0, 3.0, **a), row(5, 0, float("nan"), **b)],
        }
    )
    batches = list(function([batch]))
    files = {file: rows for file, name, rows in rows_of(batches) if name == ORDERED}
    assert sorted(files[0][ROW_ID].to_pylist()) == [2, 3]
    assert files[1].select([ROW_ID, BUCKET]).to_pydict() == {ROW_ID: [5, 4], BUCKET: [0, 1]}
    counts = counts_of(batches)
    assert counts.duplicates == {1: 1}  # of equal rows the first partition keeps its own
    assert (counts.published, counts.buckets) == ({0: 3, 1: 1}, {})
    assert counts.nulls == {("x", 0): 1}
    assert counts.cross_duplicates == {("b", "a"): 1}


def test_statistics_are_those_of_the_train_rows() -> None:
    function = make_reduce_function(options(Partitioner(1, 1, (1,))), whole_groups=True)
    part = {PARTITION: 0}
    rows = [row(1, 0, 1.0, **part), row(2, 0, 3.0, **part), row(3, 1, 100.0, **part)]
    summaries = summaries_of(list(function([blob_batch({0: rows})])))
    x = next(s for name, s in summaries.items() if name != LABEL_KEY)
    assert x.rows == 2
    assert x.compute_moments() == (2.0, 1.0)
    assert summaries[LABEL_KEY].find_limits() == (1.0, 1.0)


def test_a_fitted_transform_needs_no_statistics() -> None:
    settings = options(Partitioner(1, 1, (1,)), collect_statistics=False)
    function = make_reduce_function(settings, whole_groups=True)
    batches = list(function([blob_batch({0: [row(1, 0, 1.0, **{PARTITION: 0})]})]))
    assert summaries_of(batches) == {}
    assert counts_of(batches).published == {0: 1}


def test_counts_of_a_task_are_one_blob_whose_size_no_partitions_add_to() -> None:
    """What every target reports of every source partition is their product."""

    def reduce_rows(partitions: int, targets: int) -> list[bytes]:
        split = PartitionIndex(
            tuple(f"day={i}" for i in range(partitions)),
            np.arange(partitions),
            np.arange(partitions, dtype=np.int32),
        )
        settings = options(Partitioner(1, targets, (1,) * partitions), partition_index=split)
        function = make_reduce_function(settings, whole_groups=True)
        rows = [row(i, 0, 1.0, **{PARTITION: i}) for i in range(partitions)]
        batch = blob_batch(dict.fromkeys(range(targets), rows))
        return [
            bytes(blob)
            for batch in function([batch])
            for kind, _, _, blob in read_blobs(batch)
            if kind == COUNTS
        ]

    blobs = {size: reduce_rows(*size) for size in [(1, 1), (64, 1), (64, 8)]}
    assert [len(parts) for parts in blobs.values()] == [1, 1, 1]
    assert len({len(json.dumps(json.loads(parts[0])["buckets"])) for parts in blobs.values()}) == 1
    assert max(len(parts[0]) for parts in blobs.values()) < 200
    assert TaskCounts.from_bytes(blobs[64, 8][0]).published == {0: 512}


def test_part_of_a_group_is_sent_on_in_chunks() -> None:
    """Two groups of two targets: file 0 has targets 0 and 1, file 1 has 2 and 3."""
    function = make_reduce_function(options(Partitioner(2, 2, (1,))), whole_groups=False)
    part = {PARTITION: 0}
    batch = blob_batch({0: [row(0, 0, 1.0, **part)], 3: [row(3, 0, 2.0, **part)]})
    chunks = list(rows_of(function([batch])))
    assert [(file, name) for file, name, _ in chunks] == [(0, ""), (1, "")]
    assert [rows[ROW_ID].to_pylist() for _, _, rows in chunks] == [[0], [3]]
