"""Parts of text files: all of them where they are small, else whole lines from all over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from headrace.propose.find import Found, TableFile, reading
from headrace.propose.pieces import spread
from headrace.propose.reading import MOST_FILES

# Bytes up to which all is read; beyond, so many bytes at so many places of all files together, at
# some of each. As Python's texts they take ten times as much.
_WHOLE, _PART, _PLACES, _PLACES_A_FILE = 32 * 2**20, 2**18, 64, 4
# Of a text about a quarter is left when it is compressed.
_COMPRESSION = 4
# Bytes of a file's beginning that tell how it is written.
_BEGIN = 2**18


@dataclass(frozen=True)
class Excerpt:
    """Whole lines of a file.

    Attributes:
        file: that they are from.
        lines: as bytes.
        first: whether they begin with the file's first line.
        bytes: of the table's files that they are, about where the file is compressed.
    """

    file: TableFile
    lines: bytes
    first: bool
    bytes: int


@dataclass(frozen=True)
class Excerpts:
    """What is read of a table.

    Attributes:
        found: the table.
        files: that are opened.
    """

    found: Found
    files: tuple[TableFile, ...]

    @staticmethod
    def of(found: Found) -> "Excerpts":
        return Excerpts(found, tuple(found.files[i] for i in spread(len(found.files), MOST_FILES)))

    def begin(self) -> bytes:
        """First bytes of the first file."""
        with reading(self.files[0].path), self.found.open(self.files[0]) as stream:
            return stream.read(_BEGIN)

    def read(self, *, from_begin: bool = False) -> Iterator[Excerpt]:
        """Every excerpt; the first of a file begins with its first line.

        Args:
            from_begin: only from the beginning of files, where a line elsewhere cannot be told
                from a line break in a field.
        """
        most = _WHOLE // len(self.files)
        small = self.found.bytes <= _WHOLE
        places = max(_PLACES_A_FILE, _PLACES // len(self.files))
        for file in self.files:
            with reading(file.path), self.found.open(file) as stream:
                if file.compressed:
                    part = stream.read(most)
                    ended = len(part) < most
                    stands_for = file.bytes if ended else len(part) // _COMPRESSION
                    yield Excerpt(file, part if ended else _lines(part, 0), True, stands_for)
                elif small:
                    yield Excerpt(file, stream.read(), True, file.bytes)
                else:
                    yield from _parts(file, stream, 1 if from_begin else places)


def _parts(file: TableFile, stream: BinaryIO, count: int) -> Iterator[Excerpt]:
    """So many parts of a file, from all over it; a single one of as much is from its beginning."""
    places, size = [0], max(count, _PLACES_A_FILE) * _PART
    if count > 1 and size < file.bytes:
        last = file.bytes - _PART
        places, size = [last * i // (count - 1) for i in range(count)], _PART
    for place in places:
        stream.seek(place)
        part = stream.read(size)
        lines = part if place == 0 and len(part) == file.bytes else _lines(part, place)
        yield Excerpt(file, lines, place == 0, len(lines))


def _lines(part: bytes, place: int) -> bytes:
    """Without the lines that are cut, and without the last one, which may be."""
    begin = part.index(b"\n") + 1 if place and b"\n" in part else 0
    end = part.rfind(b"\n") + 1
    return part[begin : end or len(part)]
