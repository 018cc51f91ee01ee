"""The sample of all rows is the same however they were shared; rows of files that go leave it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.lake.row_sample import (
    EVERY_HASH,
    RowSample,
    choose_sample_rows,
    choose_threshold,
)


def make_sample(rows: np.ndarray, threshold: int = EVERY_HASH) -> RowSample:
    """Sample rows, which are numbers: file and values follow from the number."""
    hashes = (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(12345)
    if threshold < EVERY_HASH:
        rows, hashes = rows[hashes < threshold], hashes[hashes < threshold]
    files = [f"f{n % 5}" for n in rows.tolist()]
    paths = sorted(set(files))
    return RowSample(
        threshold=threshold,
        hashes=hashes,
        splits=(rows % 3).astype(np.uint8),
        files=np.array([paths.index(f) for f in files], np.int64),
        paths=tuple(paths),
        columns={
            "whole": rows.astype(np.int64),
            "real": np.where(rows % 7 == 0, np.nan, rows / 3),
            "text": pa.array([None if n % 11 == 0 else f"t{n}" for n in rows.tolist()], "string"),
        },
    )


def same(one: RowSample, other: RowSample) -> bool:
    return one.to_bytes() == other.to_bytes()


@settings(deadline=None)
@given(st.integers(1, 400), st.lists(st.integers(0, 3), min_size=400, max_size=400), st.data())
def test_any_shares_merge_to_the_sample_of_all_rows(
    count: int, shares: list[int], data: st.DataObject
) -> None:
    rows = np.arange(count)
    threshold = data.draw(st.sampled_from([EVERY_HASH, 2**63, 2**61]))
    whole = RowSample.merge([make_sample(rows, threshold)])
    share = np.array(shares[:count])
    parts = [make_sample(rows[share == n], threshold) for n in data.draw(st.permutations(range(4)))]
    assert same(RowSample.merge(parts), whole)
    nested = RowSample.merge([RowSample.merge(parts[:2]), RowSample.merge(parts[2:])])
    assert same(nested, whole)
    most = data.draw(st.integers(0, 500))
    limited = whole.limit_rows(most)
    assert limited.rows == min(most, whole.rows)
    assert (limited.hashes < limited.threshold).all() or limited.threshold == EVERY_HASH
    again = RowSample.from_bytes(limited.to_bytes(), "a sample")
    assert same(again, limited)
    assert [*again.columns] == [*limited.columns]


@settings(deadline=None)
@given(st.integers(1, 300), st.sets(st.sampled_from([f"f{n}" for n in range(5)])))
def test_files_that_are_gone_take_their_rows_along(count: int, stay: set[str]) -> None:
    rows = np.arange(count)
    found = RowSample.merge([make_sample(rows)]).select_files(stay)
    kept = np.array([n for n in range(count) if f"f{n % 5}" in stay], np.int64)
    assert sorted(found.columns["whole"].tolist()) == kept.tolist()
    assert set(found.paths) <= stay


def test_samples_of_other_thresholds_merge_by_the_lower_one() -> None:
    rows = np.arange(2000)
    dense, thin = make_sample(rows[:1000]), make_sample(rows[1000:], 2**61)
    assert same(RowSample.merge([dense, thin]), RowSample.merge([make_sample(rows, 2**61)]))


def test_a_threshold_has_all_rows_or_hardly_ever_too_few() -> None:
    assert choose_threshold(100, 100) == EVERY_HASH
    rng = np.random.default_rng(0)
    for rows in (101, 1_000, 100_000):
        threshold = choose_threshold(100, rows)
        for _ in range(50):
            hashes = rng.integers(0, 2**64, rows, np.uint64)
            sampled = rows if threshold == EVERY_HASH else int((hashes < threshold).sum())
            assert 100 <= sampled <= 300


@pytest.mark.parametrize(
    ("columns", "rows"), [(1, 16_384), (256, 16_384), (2_000, 2_048), (10**6, 1_024)]
)
def test_wide_tables_have_fewer_rows(columns: int, rows: int) -> None:
    assert choose_sample_rows(columns) == rows


def test_nothing_merges_to_nothing() -> None:
    nothing = RowSample.merge([])
    assert nothing.rows == 0
    assert same(RowSample.merge([nothing, make_sample(np.arange(9))]),
                RowSample.merge([make_sample(np.arange(9))]))  # fmt: skip
