"""Read excerpts of text files: small files as a whole, of large ones whole lines from all over."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from headrace.lake.storage import explain_table_errors
from headrace.propose.allocation import spread_positions
from headrace.propose.sampled_rows import MAX_FILES
from headrace.propose.table_files import TableFile, TableFiles

# Tables up to this size are read whole; Python's texts take ten times the memory.
_WHOLE_BYTES = 32 * 2**20
# Size of one part of a larger table.
_PART_BYTES = 2**18
# Parts that are read of all files together.
_PARTS = 64
# Fewest parts that are read of each file.
_PARTS_PER_FILE = 4
# Compression leaves about a quarter of a text's bytes.
_COMPRESSION_RATIO = 4
# Bytes from which the dialect is detected.
_BEGINNING_BYTES = 2**18


@dataclass(frozen=True)
class Excerpt:
    """Whole lines of a file.

    Attributes:
        file: the file that they are from.
        lines: the lines, as bytes.
        is_first: whether they begin with the file's first line.
        byte_count: bytes that they take in the file; an estimate where it is compressed.
    """

    file: TableFile
    lines: bytes
    is_first: bool
    byte_count: int


@dataclass(frozen=True)
class ExcerptReader:
    """A reader of excerpts from some of a table's files.

    Attributes:
        table: all files of the table.
        files: the files that are opened.
    """

    table: TableFiles
    files: tuple[TableFile, ...]

    @staticmethod
    def for_table(table: TableFiles) -> "ExcerptReader":
        positions = spread_positions(len(table.files), MAX_FILES)
        return ExcerptReader(table, tuple(table.files[i] for i in positions))

    def read_beginning(self) -> bytes:
        """Return the first bytes of the first file."""
        with explain_table_errors(self.files[0].path), self.table.open(self.files[0]) as stream:
            return stream.read(_BEGINNING_BYTES)

    def read_excerpts(self, *, from_beginning: bool = False) -> Iterator[Excerpt]:
        """Yield every excerpt; the first one of a file begins with the file's first line.

        Args:
            from_beginning: read the beginning of files only, because a line break elsewhere could
                as well be one within a field.
        """
        max_bytes = _WHOLE_BYTES // len(self.files)
        is_small = self.table.byte_count <= _WHOLE_BYTES
        parts_per_file = max(_PARTS_PER_FILE, _PARTS // len(self.files))
        for file in self.files:
            with explain_table_errors(file.path), self.table.open(file) as stream:
                if file.is_compressed:
                    part = stream.read(max_bytes)
                    is_complete = len(part) < max_bytes
                    lines = part if is_complete else _trim_to_whole_lines(part, 0)
                    byte_count = file.byte_count if is_complete else len(part) // _COMPRESSION_RATIO
                    yield Excerpt(file, lines, True, byte_count)
                elif is_small:
                    yield Excerpt(file, stream.read(), True, file.byte_count)
                else:
                    yield from _read_parts(file, stream, 1 if from_beginning else parts_per_file)


def _read_parts(file: TableFile, stream: BinaryIO, count: int) -> Iterator[Excerpt]:
    """Yield `count` evenly spaced parts of a file; a single part is as large as several and begins
    with the file."""
    offsets, size = [0], max(count, _PARTS_PER_FILE) * _PART_BYTES
    if count > 1 and size < file.byte_count:
        last = file.byte_count - _PART_BYTES
        offsets, size = [last * i // (count - 1) for i in range(count)], _PART_BYTES
    for offset in offsets:
        stream.seek(offset)
        part = stream.read(size)
        is_whole_file = offset == 0 and len(part) == file.byte_count
        lines = part if is_whole_file else _trim_to_whole_lines(part, offset)
        yield Excerpt(file, lines, offset == 0, len(lines))


def _trim_to_whole_lines(part: bytes, offset: int) -> bytes:
    """Drop a truncated first line, and the last line, which may be truncated."""
    begin = part.index(b"\n") + 1 if offset and b"\n" in part else 0
    end = part.rfind(b"\n") + 1
    return part[begin : end or len(part)]
