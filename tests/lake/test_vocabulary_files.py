"""Files of vocabularies beside a dataset: written whole, found, copied once from other stores."""

from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from headrace.errors import RemovedError
from headrace.features.stored_texts import StoredTexts
from headrace.features.text_file import TextFile, TextFileWriter
from headrace.lake.vocabulary_files import SidecarVocabularyFiles

BUILD = "20260101T000000-00000000"


@pytest.fixture
def file(tmp_path: Path) -> TextFile:
    writer = TextFileWriter(str(tmp_path))
    writer.add_texts(pa.array(["skipped", "b", ""]).slice(1))
    writer.add_texts(pa.array([], pa.string()))
    writer.add_texts(pa.array(["é\n", "a"]))
    return writer.finish_file()


def check_texts(files: SidecarVocabularyFiles, file: TextFile) -> None:
    texts = StoredTexts(file.name, file.size, files)
    assert list(texts) == ["b", "", "é\n", "a"]
    assert (texts[-1], texts[:2], texts[5:], len(texts)) == ("a", ("b", ""), (), 4)


def test_a_file_beside_a_dataset_in_a_folder(tmp_path: Path, file: TextFile) -> None:
    files = SidecarVocabularyFiles(str(tmp_path / "dataset"), BUILD)
    with pytest.raises(RemovedError, match=rf"{file.name}, the file of a vocabulary, is missing"):
        files.locate_file(file.name)
    files.write_file(file)
    files.write_file(file)  # a task that is repeated
    folder = tmp_path / "dataset" / "_headrace" / BUILD
    assert [path.name for path in folder.iterdir()] == [file.name]
    check_texts(files, file)


def test_a_file_in_another_store_is_copied_once(
    tmp_path: Path, file: TextFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = SidecarVocabularyFiles("memory://text-files/dataset", BUILD)
    store = fsspec.filesystem("memory")
    with pytest.raises(RemovedError, match="is missing"):
        files.locate_file(file.name)
    files.write_file(file)
    check_texts(files, file)
    store.rm("/text-files", recursive=True)
    copy = Path(files.locate_file(file.name))
    assert copy.is_relative_to(tmp_path)
    assert [path.name for path in copy.parent.iterdir()] == [file.name]
    assert copy.parent.stat().st_mode & 0o077 == 0


def test_equal_texts_have_the_same_file_however_they_were_added(tmp_path: Path) -> None:
    names = set()
    for parts in (["abc"], ["a", "bc"], ["", "abc"]):
        writer = TextFileWriter(str(tmp_path))
        for part in parts:
            writer.add_texts(pa.array([*part], pa.string()))
        names.add(writer.finish_file().name)
    assert len(names) == 1
