"""Positions of texts: those of a dictionary, whatever the texts and however their hashes meet."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.features import text_index
from headrace.features.text_hashes import HASH_BUCKETS, fingerprint_texts, hash_texts
from headrace.features.text_index import TextIndex

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


def build(texts: list[str]) -> TextIndex:
    return TextIndex.from_texts(pa.array(texts, pa.string()), unindexed=0)


def find(index: TextIndex, *texts: str | None) -> list[int]:
    return index.find_positions(pa.array(texts, pa.string())).tolist()


@pytest.fixture
def weak_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hashes for all texts."""

    def hash_weakly(texts: pa.Array) -> np.ndarray:
        return (fingerprint_texts(texts) % np.uint64(3)).astype(np.int64)

    monkeypatch.setattr(text_index, "hash_texts", hash_weakly)


def test_positions_by_hand() -> None:
    index = build(["z", "", "日本", "new\nline", "-5"])
    assert find(index, "日本", "", None, "z ", "new\nline", "-5", "z") == [2, 1, -1, -1, 3, 4, 0]
    assert find(index) == find(build([])) == []
    assert find(build([]), "a", None) == [-1, -1]


@settings(deadline=None)
@given(st.lists(WORDS, unique=True, max_size=30), st.lists(st.none() | WORDS, max_size=30))
def test_positions_are_those_of_a_dictionary(texts: list[str], wanted: list[str | None]) -> None:
    expected = {text: position for position, text in enumerate(texts)}
    for index in (build(texts), TextIndex.from_texts(pa.array(texts, pa.string()))):
        assert find(index, *wanted, *texts) == [
            expected.get(text, -1) for text in (*wanted, *texts)
        ]


@pytest.mark.usefixtures("weak_hashes")
def test_texts_of_one_hash_are_not_taken_for_each_other() -> None:
    texts = [f"w{i}" for i in range(40)]
    assert find(build(texts), *texts[::-1], "w40", "w41", "x") == [*range(39, -1, -1), -1, -1, -1]


def test_only_the_first_texts_are_found_where_the_index_has_more() -> None:
    index = build(["a", "b", "c"])
    shorter = TextIndex(index.texts, index.hashes, index.positions, size=2)
    assert find(shorter, "c", "b", "a") == [-1, 1, 0]


def test_hashes_are_tensorflows() -> None:
    tf = pytest.importorskip("tensorflow")
    texts = ["", "a", "日本", "x" * 1000]
    expected = tf.strings.to_hash_bucket_fast(texts, HASH_BUCKETS).numpy()
    assert hash_texts(pa.array(texts)).tolist() == expected.tolist()


@pytest.mark.parametrize("texts", [40_000, 160_000])
def test_a_lookup_allocates_by_what_is_looked_up(texts: int) -> None:
    index = TextIndex.from_texts(pa.array([f"{i}" for i in range(texts)]))
    assert index.hashes is not None  # built once, not in a call

    def measure(work: Callable[[], object]) -> int:
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    few = pa.array(["7", "x"] * 50)
    assert measure(lambda: index.find_positions(few)) < 100_000  # the index: 12 bytes a text
