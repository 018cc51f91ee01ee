"""Tables whose texts are dictionaries in some places and texts in others: the rows are the same."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.prepare.shuffle.arrow_blobs import ROWS, Blobs, by_target, rows_of
from headrace.source.dictionaries import alike, bytes_decoded, decoded, encoded, joined, taken
from headrace.transform.statistics import read_ipc

texts = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "é", "日本", "long " * 9])))


@st.composite
def tables(draw: st.DrawFn) -> list[pa.Table]:
    """Some tables of one number and one text column, each text column in some way."""
    made = []
    for words in draw(st.lists(texts, min_size=1, max_size=4)):
        column = pa.array(words, pa.string())
        way = draw(st.sampled_from(["texts", "dictionary", "slice", "shared"]))
        if way == "dictionary":
            column = column.dictionary_encode()
        elif way == "slice":  # the dictionary has more than the rows
            column = pa.concat_arrays([pa.array(["more", "a"]), column]).dictionary_encode()[2:]
        elif way == "shared":
            known = pa.array(["", "a", "é", "日本", "long " * 9, "unused"])
            numbers = [known.to_pylist().index(w) if w is not None else None for w in words]
            column = pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), known)
        made.append(pa.table({"n": pa.array(range(len(words)), pa.int64()), "text": column}))
    return made


def plain(some: list[pa.Table]) -> list[dict[str, object]]:
    return [row for table in some for row in table.to_pylist()]


@given(tables())
def test_joined_tables_have_all_rows(some: list[pa.Table]) -> None:
    whole = joined(some)
    assert whole.to_pylist() == plain(some)
    assert encoded(whole).to_pylist() == plain(some)
    assert decoded(whole["text"]).to_pylist() == [row["text"] for row in plain(some)]
    assert decoded(whole["text"]).type == pa.string()


@given(tables(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_taken_rows_are_those_that_were_asked_for(
    some: list[pa.Table], places: int, random: Random
) -> None:
    rows = plain(some)
    wanted = [random.randrange(len(rows)) for _ in range(2 * len(rows))]
    found = taken(alike(some), pa.array(wanted, pa.int64()), places)
    assert found.to_pylist() == [rows[i] for i in wanted]
    assert {column.num_chunks for column in found.columns} == {1}


@pytest.mark.parametrize(("places", "kept"), [(10, True), (100, False)])
def test_a_dictionary_stays_one_where_it_is_short(places: int, kept: bool) -> None:
    numbers = np.arange(1000) % 10  # 10 texts: at most half as many as the 100 rows of a place
    column = pa.array([f"word {i}" for i in range(10)]).take(pa.array(numbers))
    table = pa.table({"text": column.dictionary_encode()})
    found = taken([table, table], pa.array(np.arange(1000)), places)["text"]
    assert pa.types.is_dictionary(found.type) is kept


def test_bytes_are_counted_as_if_there_were_no_dictionaries() -> None:
    words = pa.array([f"a word of some length {i % 50}" for i in range(5000)])
    one, other = pa.table({"text": words}), pa.table({"text": words.dictionary_encode()})
    assert bytes_decoded(other) == pytest.approx(bytes_decoded(one), rel=0.1)
    assert bytes_decoded(other.slice(0, 100)) == pytest.approx(bytes_decoded(other) / 50, rel=0.1)


def test_blobs_lie_aligned_and_are_read_in_place() -> None:
    blobs = Blobs()
    some = pa.table({"n": np.arange(7), "text": ["a"] * 7})
    for target in (3, 1, 3):
        blobs.add("counts", "", target, b'{"odd": 1}')  # 10 bytes
        blobs.add_table(ROWS, "x", target, some)
    batch = blobs.batch()
    assert blobs.size == 0
    assert blobs.batch().num_rows == 0
    for _, _, _, blob in rows_of(batch):
        assert blob.address % 8 == 0
        assert blob.size % 8 == 0
    found = dict(by_target([batch]))
    assert [*found] == [1, 3]
    assert [row[0] for row in found[3]] == ["counts", ROWS] * 2
    assert found[1][0][3].to_pybytes().rstrip() == b'{"odd": 1}'
    table = read_ipc(found[1][1][3])
    assert table.equals(some)
    inside = table["n"].chunk(0).buffers()[1].address - found[1][1][3].address
    assert 0 < inside < found[1][1][3].size  # no copy
