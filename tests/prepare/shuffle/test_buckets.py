"""Rows are divided into blobs of many rows each, in two rounds where there are many targets."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.first_shuffle import build_options, draw_bucket, draw_rows
from headrace.columns.statistics import read_ipc
from headrace.prepare.shuffle import buckets as buckets_module
from headrace.prepare.shuffle.arrow_blobs import (
    COUNTS,
    LOST_KEYS,
    PUBLISHED_KEYS,
    ROWS,
    BlobBuilder,
    read_blobs,
)
from headrace.prepare.shuffle.buckets import BUFFER_ROWS, divide_rows, make_bucket_function
from headrace.prepare.shuffle.map import _partition_rows
from headrace.prepare.shuffle.partitioner import Partitioner, choose_targets_per_bucket
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.source.internal_columns import ROW_ID


def partition_to(targets: int) -> Partitioner:
    """Groups of one target, as many as that, in buckets."""
    return Partitioner(targets, 1, (1,), 1, choose_targets_per_bucket(targets))


def deal(tables: list[pa.Table], partitioner: Partitioner) -> list[pa.RecordBatch]:
    """The first round: a task's rows to their buckets."""
    return list(_partition_rows(tables, build_options(partitioner), TaskCounts()))


def read_all(batches: list[pa.RecordBatch]) -> list[tuple[str, int, pa.Table]]:
    """Kind, target and rows of all blobs that are tables."""
    return [
        (kind, target, read_ipc(blob))
        for batch in batches
        for kind, _, target, blob in read_blobs(batch)
        if kind != COUNTS
    ]


def test_rows_go_to_the_blob_of_their_place_in_the_order_that_they_have() -> None:
    tables = [pa.table({"n": [10, 11, 12]}), pa.table({"n": [13, 14]})]
    place = np.array([2, 0, 2, 0, 3])
    parts = read_all(list(divide_rows(ROWS, tables, place, 4, first=8)))
    assert [(target, rows["n"].to_pylist()) for _, target, rows in parts] == [
        (8, [11, 13]),
        (10, [10, 12]),
        (11, [14]),
    ]
    assert tables == []  # what was copied is not held


def test_rows_that_are_not_chosen_are_left_out() -> None:
    tables = [pa.table({"n": [10, 11, 12, 13]})]
    chosen, place = np.array([0, 3]), np.array([1, 0])
    parts = read_all(list(divide_rows(ROWS, tables, place, 2, chosen=chosen)))
    assert [(target, rows["n"].to_pylist()) for _, target, rows in parts] == [(0, [13]), (1, [10])]


@pytest.mark.parametrize("kind", [ROWS, PUBLISHED_KEYS, LOST_KEYS])
def test_a_bucket_is_divided_into_its_targets_and_counts_are_passed_on(kind: str) -> None:
    """1,024 targets are 256 buckets of four: bucket 5 has the targets 20 to 23."""
    partitioner = partition_to(1024)
    assert (partitioner.buckets, partitioner.targets_per_bucket) == (256, 4)
    blobs = BlobBuilder()
    blobs.add_bytes(COUNTS, "", 0, b"{}")
    for identities in ([1024 + 23, 20], [22, 2048 + 20]):
        rows = pa.table({ROW_ID: pa.array(identities, pa.int64())})
        blobs.add_table(kind, "", 5, rows)
    batches = list(make_bucket_function(partitioner)([blobs.build_batch()]))
    assert {(k, target): rows[ROW_ID].to_pylist() for k, target, rows in read_all(batches)} == {
        (kind, 20): [20, 2068],
        (kind, 22): [22],
        (kind, 23): [1047],
    }
    counts = [row for batch in batches for row in read_blobs(batch) if row[0] == COUNTS]
    assert [(target, blob.to_pybytes().rstrip()) for _, _, target, blob in counts] == [(0, b"{}")]


def test_no_more_than_a_buffer_of_a_bucket_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows leave before the blobs of the whole bucket were seen."""
    monkeypatch.setattr(buckets_module, "BUFFER_ROWS", 100)
    partitioner = partition_to(1024)
    seen = 0

    def send_blobs() -> Iterator[pa.RecordBatch]:
        nonlocal seen
        for _ in range(50):
            seen += 1
            blobs = BlobBuilder()
            blobs.add_table(ROWS, "", 5, pa.table({ROW_ID: np.full(30, 20)}))
            yield blobs.build_batch()

    sent = Counter[int]()
    for batch in make_bucket_function(partitioner)(send_blobs()):
        for _, _, rows in read_all([batch]):
            sent[seen] += rows.num_rows
    assert sum(sent.values()) == 50 * 30
    assert next(iter(sent)) == 4  # blobs of 30 rows until there are a hundred
    assert max(sent.values()) == 120


@pytest.mark.parametrize("targets", [16, 256, 513, 4096, 65_536])
def test_both_rounds_bring_every_row_to_its_target(targets: int) -> None:
    partitioner = partition_to(targets)
    rows = draw_rows(20_000)
    batches = deal([rows.slice(0, 9_000), rows.slice(9_000)], partitioner)
    if partitioner.targets_per_bucket > 1:
        batches = list(make_bucket_function(partitioner)(batches))
    found = read_all(batches)
    assert sum(part.num_rows for _, _, part in found) == rows.num_rows
    for _, target, part in found:
        assert set(partitioner.assign_targets(part[ROW_ID].to_numpy()).tolist()) == {target}
    whole = pa.concat_tables([part.select(rows.column_names) for _, _, part in found])
    assert whole.sort_by(ROW_ID).equals(rows.sort_by(ROW_ID).combine_chunks())


def test_blobs_have_some_hundred_rows_however_many_targets_there_are() -> None:
    """A buffer of 262,144 rows makes 512 blobs at most, in both rounds together."""
    blobs = Counter[int]()
    for targets in (16, 512, 513, 4096, 65_536):
        partitioner = partition_to(targets)
        one = deal([draw_rows(BUFFER_ROWS)], partitioner)
        blobs[targets] = sum(batch.num_rows for batch in one)
        if partitioner.targets_per_bucket > 1:
            two = make_bucket_function(partitioner)([draw_bucket(partitioner)])
            blobs[targets] += sum(batch.num_rows for batch in two)
    assert blobs == {16: 16, 512: 512, 513: 171 + 3, 4096: 256 + 16, 65_536: 512}


@pytest.mark.parametrize(
    ("targets", "buckets", "per_bucket"),
    [(1, 1, 1), (512, 512, 1), (513, 171, 3), (65_536, 256, 256), (262_144, 512, 512)],
)
def test_buckets_are_as_many_as_each_has_targets_at_most(
    targets: int, buckets: int, per_bucket: int
) -> None:
    partitioner = partition_to(targets)
    assert (partitioner.buckets, partitioner.targets_per_bucket) == (buckets, per_bucket)
    identity = np.arange(targets, dtype=np.int64)
    assert np.array_equal(partitioner.assign_buckets(identity), identity // per_bucket)
