"""Write and open a file of many distinct texts and their index: Arrow IPC, mapped into memory.

The file has one record batch, uncompressed, whose columns lie in it as they lie in memory: `text`
(string, or large_string beyond 2 GiB) by position, `hash` int64 ascending, `position` int32 of the
text that has the hash, see `text_index`. All processes of a machine that open it share its pages.
Its name has the SHA-256 of its bytes, which is compared once in a process.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.errors import DamagedError, LakeError
from headrace.features.text_hashes import hash_texts
from headrace.features.text_index import TextIndex, sort_hashes

NAME_PATTERN = r"texts-[0-9a-f]{64}\.arrow"
"""Of a file's name."""
_MOST_TEXTS = 2**31 - 1  # ids are int32
_MOST_BYTES = 2**31 - 1  # of a string array
_CHUNK_TEXTS = 1_048_576  # handled at once where all of a file are
_OPEN_FILES = 64  # in a process: vocabularies of a transform, and of an earlier one


@dataclass(frozen=True)
class TextFile:
    """A file that was written.

    Attributes:
        path: where it lies on this machine.
        name: that it has beside a transform.
        size: number of its texts.
    """

    path: str
    name: str
    size: int


class TextFileWriter:
    """Writer of distinct texts in the order of their positions, a batch at a time.

    The texts' bytes go to a scratch file; memory holds 12 bytes a text, and 32 while the index is
    sorted.
    """

    def __init__(self, folder: str) -> None:
        """
        Args:
            folder: of this machine, for the scratch file and the result; the caller removes it.
        """
        self._folder = folder
        self._spool = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # until it is finished
        self._lengths: list[np.ndarray] = []
        self._hashes: list[np.ndarray] = []
        self._size = self._bytes = 0

    def add_texts(self, texts: pa.Array) -> None:
        """Add texts, a string array without nulls, none of which was added before."""
        if not len(texts):
            return
        bounds = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset :][: len(texts) + 1]
        content = texts.buffers()[2]
        if content is not None:
            self._spool.write(memoryview(content)[int(bounds[0]) : int(bounds[-1])])
        self._lengths.append(np.diff(bounds))
        self._hashes.append(hash_texts(texts))
        self._size += len(texts)
        self._bytes += int(bounds[-1] - bounds[0])

    def finish_file(self) -> TextFile:
        """Write the file.

        Raises:
            LakeError: there are more texts than ids.
        """
        if self._size > _MOST_TEXTS:
            raise LakeError(
                f"got {self._size:,} distinct texts, expected at most {_MOST_TEXTS:,}, which int32 "
                "ids can number; raise min_count, or set max_size"
            )
        self._spool.flush()
        offsets = np.zeros(self._size + 1, np.int64)
        if self._lengths:
            np.cumsum(np.concatenate(self._lengths), out=offsets[1:])
        self._lengths = []
        is_large = self._bytes > _MOST_BYTES
        content = np.memmap(self._spool, np.uint8, "r") if self._bytes else np.zeros(0, np.uint8)
        bounds = offsets if is_large else offsets.astype(np.int32)
        del offsets
        texts = pa.Array.from_buffers(
            pa.large_string() if is_large else pa.string(),
            self._size,
            [None, pa.py_buffer(bounds), pa.py_buffer(content)],
        )
        hashes = np.concatenate(self._hashes) if self._hashes else np.zeros(0, np.int64)
        self._hashes = []
        ordered, positions = sort_hashes(hashes)
        del hashes
        columns = {"text": texts, "hash": pa.array(ordered), "position": pa.array(positions)}
        batch = pa.RecordBatch.from_pydict(columns)
        path = f"{self._folder}/texts.arrow"
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        self._spool.close()
        return TextFile(path, f"texts-{_compute_digest(path)}.arrow", self._size)


@lru_cache(maxsize=_OPEN_FILES)
def open_text_file(path: str, name: str) -> TextIndex:
    """Open a file, once in a process.

    Args:
        path: of the file, on this machine.
        name: that it was given when it was written.

    Raises:
        DamagedError: it is not the file that was written.
    """
    is_whole = re.fullmatch(NAME_PATTERN, name) and f"-{_compute_digest(path)}." in name
    if not is_whole:
        raise DamagedError(
            f"{path} is damaged: its SHA-256 is not the one in its name, {name}; restore it from a "
            "backup, or run `headrace prepare --refit`"
        )
    try:
        batch = _map_batch(path)
        batch.validate(full=True)  # whoever made up the digest as well may point out of the file
    except pa.ArrowInvalid as error:
        raise DamagedError(f"{path} is no file of a vocabulary: {error}") from None
    hashes, positions = (batch[column].to_numpy() for column in ("hash", "position"))
    return TextIndex(batch["text"], hashes, positions, batch.num_rows)


def read_texts(path: str) -> pa.Array:
    """Return the texts of a file by position, whole or damaged.

    Raises:
        pyarrow.ArrowInvalid: it is no such file.
    """
    return _map_batch(path)["text"]


def split_texts(texts: pa.Array) -> Iterator[pa.Array]:
    """Yield many texts, some at once."""
    for begin in range(0, len(texts), _CHUNK_TEXTS):
        yield texts.slice(begin, _CHUNK_TEXTS)


def _map_batch(path: str) -> pa.RecordBatch:
    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).get_batch(0)


def _compute_digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
