"""Counts of tasks: they add up, and survive the way to the driver."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.prepare.shuffle.task_counts import (
    TaskCounts,
    count_pairs,
    count_values,
    find_missing,
)


def some_counts() -> TaskCounts:
    counts = TaskCounts()
    counts.published[0] = 7
    counts.buckets[0, 1] = 3
    counts.duplicates[1] = 2
    counts.cross_duplicates["day=2", "day=1"] = 1
    counts.shared_keys["day=1"] = 4
    counts.violations[0] = 5
    counts.nulls["x", 2] = 6
    counts.add_examples(0, ["b", "a"])
    return counts


def test_counts_survive_json() -> None:
    counts = TaskCounts.from_bytes(some_counts().to_bytes())
    assert (counts.published, counts.buckets) == ({0: 7}, {(0, 1): 3})
    assert counts.cross_duplicates == {("day=2", "day=1"): 1}
    assert counts.nulls == {("x", 2): 6}
    assert counts.examples == {0: ["a", "b"]}
    # the same bytes for the same counts, and spaces that a blob is padded with do not matter
    assert counts.to_bytes() == some_counts().to_bytes()
    assert TaskCounts.from_bytes(counts.to_bytes() + b"   ").violations == {0: 5}


def test_counts_add_up() -> None:
    total = some_counts()
    more = some_counts()
    more.add_examples(0, ["c", "d", "e", "f"])
    total.add_counts(more)
    assert (total.published, total.buckets) == ({0: 14}, {(0, 1): 6})
    assert total.duplicates == {1: 4}
    assert total.shared_keys == {"day=1": 8}
    assert total.violations == {0: 10}
    assert total.examples == {0: ["a", "b", "c", "d", "e"]}  # five, the first in order


def test_rows_of_a_bucket_are_of_all_partitions() -> None:
    counts = TaskCounts()
    counts.published[0] = 9
    counts.buckets.update({(0, 3): 3, (1, 3): 4, (1, 4): 5})
    assert counts.sum_buckets() == {0: 9, 3: 7, 4: 5}


def test_values() -> None:
    assert count_values(np.array([2, 0, 2, 2], np.int32)) == {0: 1, 2: 3}
    assert count_values(np.zeros(0, np.int32)) == {}


def test_pairs() -> None:
    pairs = count_pairs(np.array([0, 0, 2, 0]), np.array([1, 1, 0, 3]))
    assert pairs == {(0, 1): 2, (2, 0): 1, (0, 3): 1}
    assert count_pairs(np.zeros(0, int), np.zeros(0, int)) == {}


@pytest.mark.parametrize(
    ("column", "missing"),
    [
        ([1.0, None, float("nan"), float("inf"), -1.0], [False, True, True, True, False]),
        ([1, None], [False, True]),
        (["", None], [False, True]),
        ([[None], None], [False, True]),  # a list is there, whatever it holds
    ],
)
def test_missing_values(column: list[object], missing: list[bool]) -> None:
    assert find_missing(pa.chunked_array([column])).tolist() == missing
