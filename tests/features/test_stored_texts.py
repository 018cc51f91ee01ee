"""A vocabulary that is a name and a size until it is asked for a text."""

import pickle
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.errors import DamagedError, DatasetError
from headrace.features import stored_texts, text_file
from headrace.features.kind import CountLimits
from headrace.features.lookup import build_lookup_table
from headrace.features.stored_texts import StoredTextCounts, StoredTexts, TextFolder
from headrace.features.text_file import TextFile, TextFileWriter
from headrace.features.vocabulary import VocabularyFeature
from headrace.models.row_matching import match_ids
from tests.fitting import read_integers, read_texts, run_feature

VALUES = ("b", "", "é\n", "a", "-5")


@pytest.fixture
def file(tmp_path: Path) -> TextFile:
    return write_file(tmp_path, VALUES)


def write_file(folder: Path, values: tuple[str, ...]) -> TextFile:
    writer = TextFileWriter(str(folder))
    writer.add_texts(pa.array(values, pa.string()))
    written = writer.finish_file()
    path = shutil.move(written.path, folder / written.name)
    return TextFile(str(path), written.name, written.size)


def read_feature(json: str, files: TextFolder | None = None) -> VocabularyFeature:
    text = f'{{"kind": "vocabulary", "name": "f", "column": "c", "values": {json}}}'
    return VocabularyFeature.model_validate_json(text, context=files)


def test_ids_are_those_of_values_within_the_transform(tmp_path: Path, file: TextFile) -> None:
    for size in (len(VALUES), 2):
        json = f'{{"file": "{file.name}", "size": {size}}}'
        stored = read_feature(json, TextFolder(str(tmp_path)))
        inline = VocabularyFeature(name="f", column="c", values=VALUES[:size])
        assert stored.cardinality == inline.cardinality
        for column in (read_texts("a", None, "", "zz", "é\n"), read_integers(-5, None, 5)):
            for changes in ({}, {"unknown_ids": 3, "fill": "a"}):
                expected = run_feature(inline.model_copy(update=changes), column)["f"]
                found = run_feature(stored.model_copy(update=changes), column)["f"]
                assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist())


def test_texts_of_more_than_two_gigabytes_are_of_another_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf = pytest.importorskip("tensorflow")
    monkeypatch.setattr(text_file, "_MOST_BYTES", 3)
    values = ("long text", "", "é\u2028", "a\n")
    written = write_file(tmp_path, values)
    texts = StoredTexts(written.name, written.size, TextFolder(str(tmp_path)))
    assert texts.open_index().texts.type == pa.large_string()
    assert [*texts] == [*values]
    assert texts.open_index().find_positions(pa.array([*values[::-1], "a", None])).tolist() == [
        3, 2, 1, 0, -1, -1
    ]  # fmt: skip
    other = VocabularyFeature(name="f", column="c", values=("a\n", "b"))
    both = VocabularyFeature(name="f", column="c", values=texts)
    assert [ids.tolist() for ids in match_ids(both, other)] == [[0, 1, 5], [0, 1, 2]]
    assert [ids.tolist() for ids in match_ids(other, both)] == [[0, 1, 2], [0, 1, 5]]
    table = build_lookup_table(texts, 1)
    assert table is not None
    found = table.lookup(tf.constant([value.encode() for value in (*values, "a")]))
    assert found.numpy().tolist() == [2, 3, 4, 5, -1]


def test_a_feature_of_it_is_made_without_opening_the_file() -> None:
    texts = StoredTexts(f"texts-{'0' * 64}.arrow", 7)  # there is no such file
    feature = VocabularyFeature(name="f", column="c", values=texts)
    assert feature.values is texts
    assert feature.model_copy(update={"fill": "a"}).cardinality == 9


def test_a_sequence_like_any_other(tmp_path: Path, file: TextFile) -> None:
    texts = StoredTexts(file.name, 4, TextFolder(str(tmp_path)))
    assert [*texts] == [*VALUES[:4]]
    assert (texts[0], texts[-1], texts[1:3], texts[::-2]) == ("b", "a", ("", "é\n"), ("a", ""))
    with pytest.raises(IndexError):
        texts[4]
    assert texts == pickle.loads(pickle.dumps(texts)) != StoredTexts(file.name, 3)
    assert hash(texts) == hash(StoredTexts(file.name, 4))


@pytest.mark.parametrize(
    "json",
    [
        '{"file": "../../texts.arrow", "size": 1}',
        '{"file": "texts-12.arrow", "size": 1}',
        '{"file": "NAME", "size": 0}',
        '{"file": "NAME", "size": 4294967296}',
        '{"file": "NAME", "size": "1"}',
        '{"file": "NAME", "size": 1, "surprise": 1}',
        '{"file": "NAME"}',
        '"NAME"',
    ],
)
def test_what_is_no_name_and_size_is_refused(json: str, file: TextFile) -> None:
    with pytest.raises(ValidationError):
        read_feature(json.replace("NAME", file.name))


def test_a_file_that_is_not_told_missing_or_too_short_is_named(
    tmp_path: Path, file: TextFile
) -> None:
    size_alone = read_feature(f'{{"file": "{file.name}", "size": 3}}')
    assert size_alone.cardinality == 5
    with pytest.raises(DatasetError, match="a vocabulary of 3 texts lies in texts-"):
        size_alone.values[0]
    folder = TextFolder(str(tmp_path), "model models:/m/1")
    with pytest.raises(DamagedError, match=r"has 5 texts, and transform.json names 6"):
        StoredTexts(file.name, 6, folder).open_index()
    Path(file.path).unlink()
    with pytest.raises(DatasetError, match=r"^model models:/m/1: texts-.*, the file of a vocab"):
        StoredTexts(file.name, 2, folder).open_index()


def test_few_of_the_texts_are_within_the_transform(
    tmp_path: Path, file: TextFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_texts, "INLINE_TEXTS", 2)
    table = pa.table({"value": VALUES[:1], "count": [9]})
    sizes, files = {1: 5, 2: 3, 9: 1, 10: 0}, TextFolder(str(tmp_path))
    counts = StoredTextCounts(table, file=file.name, sizes=sizes, files=files)
    assert counts.select_texts(CountLimits(1, None)) == StoredTexts(file.name, 5)
    assert counts.select_texts(CountLimits(2, 100)) == StoredTexts(file.name, 3)
    assert counts.select_texts(CountLimits(1, 2)) == ("b", "")
    assert counts.select_texts(CountLimits(10, None)) == ()
    assert counts.list_most_frequent(max_size=1) == [("b", 9)]
    with pytest.raises(ValueError, match="None texts are asked for, 1 are known"):
        counts.list_most_frequent()


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=7)


@settings(deadline=None)
@given(st.lists(WORDS, unique=True, max_size=20))
def test_any_texts_come_back(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    folder = tmp_path_factory.mktemp("texts")
    written = write_file(folder, (*values, "one more\0"))
    texts = StoredTexts(written.name, written.size, TextFolder(str(folder)))
    assert [*texts] == [*values, "one more\0"]
