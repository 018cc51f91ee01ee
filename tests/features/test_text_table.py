"""The table in a graph: the ids of the index on Arrow values, for any texts, saved and loaded."""

from pathlib import Path

import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.features import text_table
from headrace.features.text_index import TextIndex, sort_hashes
from headrace.features.text_table import TextTable

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
FIRST = 2


def build(texts: list[str], size: int | None = None) -> TextIndex:
    index = TextIndex.from_texts(pa.array(texts, pa.string()), unindexed=0)
    return TextIndex(index.texts, index.hashes, index.positions, size or len(texts))


def look_up(table: TextTable, texts: list[str]) -> list[int]:
    return table.lookup(tf.constant([t.encode() for t in texts], tf.string)).numpy().tolist()


@settings(max_examples=30, deadline=None)
@given(st.lists(WORDS, unique=True, min_size=1, max_size=20), st.lists(WORDS, max_size=20))
def test_ids_are_those_of_the_arrow_side(texts: list[str], wanted: list[str]) -> None:
    index = build(texts)
    positions = index.find_positions(pa.array([*wanted, *texts], pa.string())).tolist()
    expected = [position + FIRST if position >= 0 else -1 for position in positions]
    assert look_up(TextTable(index, FIRST), [*wanted, *texts]) == expected


def test_texts_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_table, "HASH_BUCKETS", 3)
    texts = [f"w{i}" for i in range(30)]
    hashes = tf.strings.to_hash_bucket_fast(texts, 3).numpy()
    table = TextTable(TextIndex(pa.array(texts), *sort_hashes(hashes), size=30), 0)
    assert look_up(table, [*texts[::-1], "w30", ""]) == [*range(29, -1, -1), -1, -1]


def test_only_the_first_texts_have_ids_where_the_file_has_more() -> None:
    assert look_up(TextTable(build(["a", "b", "c"], size=2), 5), ["c", "b", "a"]) == [-1, 6, 5]


def test_slices_of_long_arrays_and_many_dimensions() -> None:
    index = TextIndex.from_texts(pa.array(["x", "ab", "", "日本"]).slice(1), unindexed=0)
    table = TextTable(index, 1)
    found = table.lookup(tf.constant([["日本", "x"], ["", "ab"]]))
    assert found.numpy().tolist() == [[3, -1], [2, 1]]
    assert table.lookup(tf.zeros([0, 2], tf.string)).shape == (0, 2)


def test_a_saved_table_has_its_texts_beside_the_graph(tmp_path: Path) -> None:
    texts = [f"text {i}\n" for i in range(2000)]
    module = tf.Module()
    module.table = TextTable(build(texts), FIRST)
    signature = [tf.TensorSpec([None], tf.string)]
    module.find = tf.function(module.table.lookup, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path))
    assert (tmp_path / "saved_model.pb").stat().st_size < 60_000  # the texts alone: 24,000 bytes
    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.find(tf.constant([texts[7], "text 7"])).numpy().tolist() == [9, -1]
