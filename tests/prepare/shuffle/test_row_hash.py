"""Hashes of rows: of values alone, whatever Arrow calls their type."""

import numpy as np
import pandas.util
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.prepare.shuffle.row_hash import hash_order, hash_rows, mix_bits


def hashes(*columns: pa.Array, start: int = 0) -> list[int]:
    begin = np.full(len(columns[0]), start, np.uint64)
    return hash_rows([pa.chunked_array([c]) for c in columns], begin).tolist()


def test_hashes_stay_what_they_are() -> None:
    """Row ids of datasets that exist depend on them."""
    row = [
        pa.array([1]), pa.array([0.5]), pa.array(["é"]), pa.array([b"\x00"]),
        pa.array([["a", None]]), pa.array([None], pa.float64()), pa.array([True]),
    ]  # fmt: skip
    assert hashes(*row, start=7) == [17375037260352421496]
    assert mix_bits(np.zeros(1, np.uint64)).tolist() == [0xE220A8397B1DCDAF]  # SplitMix64's first


def test_types_of_one_value_hash_alike() -> None:
    for one, other in (
        (pa.array(["a", None, "b"]), pa.array(["a", None, "b"]).dictionary_encode()),
        (pa.array([1, None, 3], pa.int8()), pa.array([1, None, 3], pa.int64())),
        (pa.array([0.0, 1.5]), pa.array([-0.0, 1.5], pa.float32())),
        (pa.array([True, False]), pa.array([1, 0])),
        (pa.array([[1], None, []]), pa.array([[1], None, []], pa.list_(pa.int8()))),
    ):  # fmt: skip
        assert hashes(one) == hashes(other)
    nan = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64).view(np.float64)
    assert len(set(hashes(pa.array(nan)))) == 1


def test_chunks_and_slices_do_not_count() -> None:
    whole = pa.array([["a", "b"], ["c"], None, [], ["a", "b"], [None]])
    expected = hashes(whole)
    begin = np.zeros(6, np.uint64)
    chunked = pa.chunked_array([whole.slice(0, 2), whole.slice(2, 0), whole.slice(2)])
    assert hash_rows([chunked], begin).tolist() == expected
    assert expected[0] == expected[4]
    assert len(set(expected)) == 5


texts = st.lists(st.one_of(st.none(), st.text(max_size=4)), max_size=3)
rows = st.tuples(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.text(max_size=6)),
    st.one_of(st.none(), texts),
)


@given(st.lists(rows, min_size=1, max_size=30))
def test_equal_rows_and_no_others_have_equal_hashes(drawn: list[tuple[object, ...]]) -> None:
    columns = list(zip(*drawn, strict=True))
    kinds = [pa.int64(), pa.float64(), pa.string(), pa.list_(pa.string())]
    hashed = hashes(*(pa.array(c, k) for c, k in zip(columns, kinds, strict=True)))
    by_hash: dict[int, object] = {}
    for row, value in zip(drawn, hashed, strict=True):
        plain = tuple(tuple(v) if isinstance(v, list) else v for v in row)
        assert by_hash.setdefault(value, plain) == plain
    keys = {tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in drawn}
    assert len(by_hash) == len(keys)


def test_the_order_depends_on_the_seed_and_looks_random() -> None:
    identity = np.arange(10_000)
    first, second = hash_order(identity, 1), hash_order(identity, 2)
    ranks = [np.argsort(order) for order in (first, second)]
    assert (ranks[0] != ranks[1]).mean() > 0.99
    for rank in ranks:
        assert abs(np.corrcoef(rank, np.arange(10_000))[0, 1]) < 0.05
    assert hash_order(identity, -1).tolist() != first.tolist()


def test_no_columns_and_no_rows() -> None:
    assert hash_rows([], np.zeros(0, np.uint64)).shape == (0,)
    assert hashes(pa.array([], pa.string())) == []


@pytest.mark.parametrize("values", [10, 1000, 4000, 16_000])
def test_rows_cost_what_they_have_and_not_what_their_file_has(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's dictionary comes with every few rows of it; a null and two files among them."""
    hashed: list[int] = []
    hash_texts = pandas.util.hash_array

    def count_texts(texts: np.ndarray, **options: bool) -> np.ndarray:
        hashed.append(len(texts))
        return hash_texts(texts, **options)

    monkeypatch.setattr(pandas.util, "hash_array", count_texts)
    chunks = []
    for file in range(2):
        dictionary = pa.array([f"{file} {i}" for i in range(values)])
        indices = pa.array([*range(values - 5, values), None], pa.int32())
        chunks.append(pa.DictionaryArray.from_arrays(indices, dictionary))
    column = pa.chunked_array(chunks)
    begin = np.zeros(len(column), np.uint64)
    found = hash_rows([column], begin)
    assert sum(hashed) <= 2 * len(column)
    plain = pa.array(column.to_pylist(), pa.string())
    assert found.tolist() == hash_rows([pa.chunked_array([plain])], begin).tolist()
