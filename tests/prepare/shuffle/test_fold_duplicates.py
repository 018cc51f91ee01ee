"""Duplicates that a task folds before it sends rows change neither who wins nor what is counted."""

import itertools
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.prepare.shuffle.arrow_blobs import ROWS, read_blobs
from headrace.prepare.shuffle.dedup import find_distinct_rows, fold_duplicates
from headrace.prepare.shuffle.map import make_map_function
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.source.internal_columns import (
    BUCKET,
    FILE,
    KEY_DIGEST,
    LATEST,
    PARTITION,
    ROW_ID,
    TIE_BREAKER,
)
from headrace.source.partition_index import PartitionIndex
from tests.prepare.shuffle.shuffled import batch_of, counts_of, options, row, rows_of

RAW = ["x"]


def table_of(rows: list[tuple[int, int | None, int, int | None, float]]) -> pa.Table:
    """Rows: identity, digest, source partition, latest, x."""
    identity, digest, partition, latest, x = zip(*rows, strict=True)
    return pa.table(
        {
            ROW_ID: pa.array(identity, pa.int64()),
            KEY_DIGEST: pa.array(digest, pa.int64()),
            PARTITION: pa.array(partition, pa.int32()),
            LATEST: pa.array(latest, pa.int64()),
            TIE_BREAKER: pa.array([0] * len(rows), pa.int64()),
            "x": pa.array(x, pa.float64()),
        }
    )


def settle(table: pa.Table) -> tuple[list[dict[str, object]], set[tuple[int, int]], Counter[int]]:
    """The rows that stay, whose partitions lost against whose, and lost rows by partition."""
    distinct, losses = find_distinct_rows(table, RAW)
    partition = table[PARTITION].to_numpy()
    pairs = {(int(partition[a]), int(partition[b])) for a, b in losses}
    stay = sorted(table.take(pa.array(distinct)).to_pylist(), key=repr)
    lost = Counter(partition[losses[:, 0]].tolist())
    return stay, {(a, b) for a, b in pairs if a != b}, lost


rows_drawn = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([1, 2, None]),
        st.integers(0, 2),
        st.sampled_from([None, 1, 2]),
        st.sampled_from([0.5, 1.5]),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(rows_drawn, st.lists(st.integers(1, 30), max_size=3))
def test_what_tasks_fold_changes_nothing(
    rows: list[tuple[int, int | None, int, int | None, float]], cuts: list[int]
) -> None:
    bounds = sorted({0, *(cut for cut in cuts if cut < len(rows)), len(rows)})
    folded, sent = Counter[int](), []
    for begin, end in itertools.pairwise(bounds):
        part = table_of(rows[begin:end])
        half = part.num_rows // 2
        stay, gone = fold_duplicates(
            [part.slice(0, half), part.slice(half)], np.arange(part.num_rows), RAW
        )
        folded.update(gone.tolist())
        sent.append(part.take(pa.array(stay)))
    one, two = settle(table_of(rows)), settle(pa.concat_tables(sent))
    assert two[:2] == one[:2]
    assert two[2] + folded == one[2]


def test_of_a_hot_key_a_task_sends_one_row_of_each_partition() -> None:
    """Nine of ten rows have one key; 300 rows of two partitions leave 30 others and two of it."""
    rows = [(n if n % 10 == 0 else -1, 5, n % 2, n, float(n)) for n in range(300)]
    table = table_of([(a, b, c, d, e) for a, b, c, d, e in rows])
    stay, gone = fold_duplicates([table], np.arange(300), RAW)
    assert len(stay) == 30 + 2
    left = table.take(pa.array(stay)).filter(pa.array(np.array(stay) % 10 > 0))
    assert left[LATEST].to_pylist() == [298, 299]  # of each partition the latest
    assert Counter(gone.tolist()) == {0: 119, 1: 149}


def test_rows_that_are_not_published_win_against_none() -> None:
    table = table_of([(7, 1, 0, 9, 0.5), (7, 1, 0, 1, 0.5), (7, 1, 0, 2, 0.5)])
    stay, gone = fold_duplicates([table], np.array([1, 2]), RAW)
    assert (stay.tolist(), gone.tolist()) == ([2], [0])


def test_a_task_counts_what_it_folds() -> None:
    """Three rows of key 4, of which the filtered one is no duplicate; of equal keyless rows both
    stay."""
    index = PartitionIndex(("a", "b"), np.array([1, 2]), np.array([0, 1], np.int32))
    key = {KEY_DIGEST: 1, FILE: 2}
    batch = batch_of(
        [
            row(4, 0, 1.0, **key),
            row(4, 0, 1.0, **key),
            row(4, 3, 9.0, **key),
            row(4, 0, 1.0, **{KEY_DIGEST: 1, FILE: 1}),
            row(None, 0, 3.0, **{KEY_DIGEST: None, FILE: 1}),
            row(None, 0, 3.0, **{KEY_DIGEST: None, FILE: 1}),
        ]
    )
    settings_ = options(Partitioner(1, 1, (1, 1)), partition_index=index)
    blobs = list(make_map_function(settings_, batch.schema.names)([batch]))
    ((_, _, sent),) = rows_of(blobs)
    assert sent.select(["x", PARTITION, BUCKET]).to_pylist() == [
        {"x": 1.0, PARTITION: 1, BUCKET: 0},
        {"x": 1.0, PARTITION: 0, BUCKET: 0},
        {"x": 3.0, PARTITION: 0, BUCKET: 0},
        {"x": 3.0, PARTITION: 0, BUCKET: 0},
    ]
    counts = counts_of(blobs)
    assert counts.duplicates == {1: 1}
    assert counts.buckets == {(1, 3): 1}
    assert [kind for b in blobs for kind, *_ in read_blobs(b)].count(ROWS) == 1
