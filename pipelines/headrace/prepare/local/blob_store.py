"""Keep blobs between the tasks of a build: in memory, or in a file of the task that made them."""

import mmap
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from headrace.prepare.shuffle.arrow_blobs import StoredBlob, read_blobs


@dataclass(frozen=True)
class Place:
    """Where a blob lies.

    Attributes:
        path: of the file.
        begin, end: in bytes.
    """

    path: str
    begin: int
    end: int


KeptBlob = tuple[str, str, int, Place | pa.Buffer]
"""Kind, name and target of a blob, and the blob or its place."""


def keep_blobs(batches: Iterable[pa.RecordBatch], folder: str | None) -> list[KeptBlob]:
    """Keep the blobs of a task.

    Args:
        batches: of blobs.
        folder: for a file with all of them; None to keep them in memory.
    """
    if folder is None:
        return [blob for batch in batches for blob in read_blobs(batch)]
    path, kept = Path(folder, f"{uuid.uuid4().hex}.blobs"), list[KeptBlob]()
    end = 0
    with path.open("wb") as file:
        for batch in batches:
            for kind, name, target, blob in read_blobs(batch):
                begin, end = end, end + file.write(memoryview(blob))
                kept.append((kind, name, target, Place(str(path), begin, end)))
    return kept


def remove_files(kept: Iterable[KeptBlob]) -> None:
    """Remove the files of blobs that nobody opens any more."""
    for path in {place.path for *_, place in kept if isinstance(place, Place)}:
        Path(path).unlink(missing_ok=True)


class OpenBlobs:
    """Blobs that were kept, opened where they lie."""

    def __init__(self) -> None:
        self._files: dict[str, pa.Buffer] = {}

    def open_blobs(self, kept: Iterable[KeptBlob]) -> Iterator[StoredBlob]:
        """Yield blobs in place."""
        for kind, name, target, place in kept:
            yield kind, name, target, self._open(place) if isinstance(place, Place) else place

    def _open(self, place: Place) -> pa.Buffer:
        if place.begin == place.end:
            return pa.py_buffer(b"")
        if place.path not in self._files:
            with Path(place.path).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._files[place.path] = pa.py_buffer(mapped)
        return self._files[place.path].slice(place.begin, place.end - place.begin)

    def open_targets(self, kept: Sequence[KeptBlob]) -> Iterator[tuple[int, list[StoredBlob]]]:
        """Yield the number and the blobs of each target, in the order of numbers."""
        by_target: dict[int, list[KeptBlob]] = {}
        for blob in kept:
            by_target.setdefault(blob[2], []).append(blob)
        for target in sorted(by_target):
            yield target, list(self.open_blobs(by_target[target]))
