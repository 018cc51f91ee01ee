"""Check the excerpts of text files: whole lines, from the beginning and from all over."""

import gzip
from pathlib import Path

import pytest

from headrace.propose import excerpts
from headrace.propose.excerpts import Excerpt, ExcerptReader
from headrace.propose.table_files import find_table

LINES = b"".join(b"%03d\n" % number for number in range(100))  # 400 bytes


def read_all(folder: Path, *, from_beginning: bool = False) -> list[Excerpt]:
    reader = ExcerptReader.for_table(find_table(str(folder), None))
    return list(reader.read_excerpts(from_beginning=from_beginning))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make files of 400 bytes large, and parts of them ten bytes."""
    monkeypatch.setattr(excerpts, "_WHOLE_BYTES", 50)
    monkeypatch.setattr(excerpts, "_PART_BYTES", 10)
    monkeypatch.setattr(excerpts, "_PARTS", 4)
    monkeypatch.setattr(excerpts, "_PARTS_PER_FILE", 2)


def test_small_files_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n1")
    (tmp_path / "b.csv").write_bytes(b"a\n2\n")
    read = [(e.file.name, e.lines, e.is_first, e.byte_count) for e in read_all(tmp_path)]
    assert read == [("a.csv", b"a\n1", True, 3), ("b.csv", b"a\n2\n", True, 4)]


@pytest.mark.usefixtures("large")
def test_large_files_are_read_in_parts_from_all_over_without_truncated_lines(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_bytes(LINES)
    read = [(e.lines, e.is_first, e.byte_count) for e in read_all(tmp_path)]
    # Ten bytes each from bytes 0, 130, 260 and 390: line 32 begins at byte 128, line 65 at 260 and
    # line 97 at 388. The first line of a part is dropped, for it may be truncated, except in the
    # file's first part.
    assert read == [
        (b"000\n001\n", True, 8),
        (b"033\n034\n", False, 8),
        (b"066\n", False, 4),
        (b"098\n099\n", False, 8),
    ]


@pytest.mark.usefixtures("large")
def test_one_part_from_the_beginning_where_lines_may_be_within_fields(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(LINES)
    (excerpt,) = read_all(tmp_path, from_beginning=True)
    assert (excerpt.lines, excerpt.is_first) == (LINES[:20], True)  # twice ten bytes


@pytest.mark.usefixtures("large")
def test_a_compressed_file_is_read_from_its_beginning_and_its_bytes_estimated(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(LINES))
    (excerpt,) = read_all(tmp_path)
    # 50 bytes of 12 lines and a half; compressed they would have been about a quarter.
    assert (excerpt.lines, excerpt.is_first, excerpt.byte_count) == (LINES[:48], True, 12)


def test_a_compressed_file_that_is_read_to_its_end_has_all_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1"))
    (excerpt,) = read_all(tmp_path)
    size = (tmp_path / "a.csv.gz").stat().st_size
    assert (excerpt.lines, excerpt.byte_count) == (b"a\n1", size)


def test_the_beginning_is_that_of_the_first_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(LINES)
    (tmp_path / "b.csv").write_bytes(b"b\n")
    reader = ExcerptReader.for_table(find_table(str(tmp_path), None))
    assert reader.read_beginning() == LINES
