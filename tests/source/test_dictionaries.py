"""Tables whose texts are dictionaries in some places and texts in others: the rows are the same."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.source.dictionaries import (
    concat_to_one_chunk,
    decode_column,
    encode_texts,
    estimate_decoded_bytes,
    take_rows,
    unify_dictionaries,
)

texts = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "é", "日本", "long " * 9])))


@st.composite
def tables(draw: st.DrawFn) -> list[pa.Table]:
    """Some tables of one number and one text column, each text column in some way."""
    drawn_tables = []
    for words in draw(st.lists(texts, min_size=1, max_size=4)):
        column = pa.array(words, pa.string())
        way = draw(st.sampled_from(["texts", "dictionary", "slice", "shared"]))
        if way == "dictionary":
            column = column.dictionary_encode()
        elif way == "slice":  # the dictionary has more than the rows
            column = pa.concat_arrays([pa.array(["more", "a"]), column]).dictionary_encode()[2:]
        elif way == "shared":
            dictionary = pa.array(["", "a", "é", "日本", "long " * 9, "unused"])
            numbers = [dictionary.to_pylist().index(w) if w is not None else None for w in words]
            column = pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), dictionary)
        drawn_tables.append(
            pa.table({"n": pa.array(range(len(words)), pa.int64()), "text": column})
        )
    return drawn_tables


def plain(tables: list[pa.Table]) -> list[dict[str, object]]:
    return [row for table in tables for row in table.to_pylist()]


@given(tables())
def test_joined_tables_have_all_rows(drawn: list[pa.Table]) -> None:
    whole = concat_to_one_chunk(drawn)
    assert whole.to_pylist() == plain(drawn)
    assert encode_texts(whole).to_pylist() == plain(drawn)
    assert decode_column(whole["text"]).to_pylist() == [row["text"] for row in plain(drawn)]
    assert decode_column(whole["text"]).type == pa.string()


@given(tables(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_taken_rows_are_those_that_were_asked_for(
    drawn: list[pa.Table], places: int, random: Random
) -> None:
    rows = plain(drawn)
    positions = [random.randrange(len(rows)) for _ in range(2 * len(rows))]
    taken = take_rows(unify_dictionaries(drawn), pa.array(positions, pa.int64()), places)
    assert taken.to_pylist() == [rows[i] for i in positions]
    assert {column.num_chunks for column in taken.columns} == {1}


@pytest.mark.parametrize(("places", "is_dictionary"), [(10, True), (100, False)])
def test_a_dictionary_stays_one_where_it_is_short(places: int, is_dictionary: bool) -> None:
    numbers = np.arange(1000) % 10  # 10 texts: at most half as many as the 100 rows of a place
    column = pa.array([f"word {i}" for i in range(10)]).take(pa.array(numbers))
    table = pa.table({"text": column.dictionary_encode()})
    taken = take_rows([table, table], pa.array(np.arange(1000)), places)["text"]
    assert pa.types.is_dictionary(taken.type) is is_dictionary


def test_bytes_are_counted_as_if_there_were_no_dictionaries() -> None:
    words = pa.array([f"a word of some length {i % 50}" for i in range(5000)])
    one, other = pa.table({"text": words}), pa.table({"text": words.dictionary_encode()})
    assert estimate_decoded_bytes(other) == pytest.approx(estimate_decoded_bytes(one), rel=0.1)
    assert estimate_decoded_bytes(other.slice(0, 100)) == pytest.approx(
        estimate_decoded_bytes(other) / 50, rel=0.1
    )


@pytest.mark.parametrize("values", [100, 4000, 16_000])
def test_few_rows_of_files_with_long_dictionaries_cost_what_they_have(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictionaries = [pa.array([f"{file} {i}" for i in range(values)]) for file in range(3)]
    tables = [
        pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0, None, 7], pa.int32()), d)})
        for d in dictionaries
    ]
    concatenated: list[int] = []
    concat_arrays = pa.concat_arrays

    def count_values(arrays: list[pa.Array]) -> pa.Array:
        concatenated.append(sum(map(len, arrays)))
        return concat_arrays(arrays)

    monkeypatch.setattr(pa, "concat_arrays", count_values)
    rows = pa.array([8, 0, 4, 2], pa.int64())
    assert take_rows(tables, rows, 2)["text"].to_pylist() == ["2 7", "0 0", None, "0 7"]
    assert sum(concatenated) <= 2 * 9


def test_a_dictionary_that_chunks_share_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    words = pa.array([f"word {i}" for i in range(200)])
    column = pa.DictionaryArray.from_arrays(pa.array([*range(200)] * 2, pa.int32()), words)
    tables = [pa.table({"text": column.slice(begin, 100)}) for begin in range(0, 400, 100)]
    concatenated: list[int] = []
    concat_arrays = pa.concat_arrays

    def count_values(arrays: list[pa.Array]) -> pa.Array:
        concatenated.append(sum(map(len, arrays)))
        return concat_arrays(arrays)

    monkeypatch.setattr(pa, "concat_arrays", count_values)
    taken = take_rows(tables, pa.array([399, 0]), 4)["text"]
    assert taken.to_pylist() == ["word 199", "word 0"]
    assert concatenated == [200, 400]  # the words, and the rows' numbers
