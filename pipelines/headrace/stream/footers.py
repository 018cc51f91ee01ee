"""Read the footers of a dataset version's files and check that they are what was published.

A version's index has the size of each file and a checksum of its footer. The footer has, in the
files that `prepare` writes, a checksum and a fingerprint of every column of every row group. So a
rewritten file is found when it is opened, and a damaged value when it is decoded (which `worker.py`
does; `docs/performance.md` has the cost). Files of earlier releases have no fingerprints; those
that others wrote have neither, and are checked by their size, footer and the CRC-32 of pages that
have one.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from headrace.errors import StreamError
from headrace.lake.checksums import (
    compute_footer_checksum,
    parse_footer,
    read_checksums,
    read_fingerprints,
    read_footer_bytes,
)
from headrace.lake.data_file import DataFile
from headrace.lake.storage import describe_error, is_storage_error

# Parsed footers in memory; one of 64 row groups and 40 columns takes some 200 kB.
_MAX_FOOTERS = 64
# A store may be unavailable for some seconds: reading is retried after these pauses, but not
# after `_RETRY_SECONDS` (S3's client retries for some 10 s itself, where it can). A file that
# is missing or forbidden will still be so a second later.
_RETRY_PAUSES, _RETRY_SECONDS = (0.2, 0.4, 0.8, 1.6, 3.2), 8.0
_PERMANENT_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Footer:
    """The footer of a Parquet file.

    Attributes:
        metadata: pyarrow's `FileMetaData`.
        checksums: column -> checksum of each row group; empty where the file has none.
        fingerprints: column -> fingerprint of each row group; empty where the file has none.
    """

    metadata: Any
    checksums: dict[str, list[int]]
    fingerprints: dict[str, list[str]]


class FooterCache:
    """The footers of an epoch's files, each read once; shared by reader threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._footers: OrderedDict[str, Footer] = OrderedDict()

    def get_footer(self, path: str, source: Any, file: DataFile) -> Footer:
        """Return the footer of an open file.

        Args:
            path: full path of the file.
            source: the open file.
            file: the file as the index has it.

        Raises:
            StreamError: the file is not the one that was published.
        """
        with self._lock:
            if path in self._footers:
                self._footers.move_to_end(path)
                return self._footers[path]
        footer = read_footer(path, source, file)
        with self._lock:
            self._footers[path] = footer
            while len(self._footers) > _MAX_FOOTERS:
                self._footers.popitem(last=False)
        return footer


def is_local(filesystem: Any) -> bool:
    """Return whether files of an fsspec file system are files of this host."""
    return isinstance(filesystem, LocalFileSystem)


def open_data_file(filesystem: Any, path: str) -> Any:
    """Open a file for reading.

    Raises:
        OSError: it is missing or out of reach.
    """
    # pyarrow's own file: a Python file would take the interpreter's lock.
    return pa.OSFile(path) if is_local(filesystem) else filesystem.open(path, "rb")


def read_footer(path: str, source: Any, file: DataFile) -> Footer:
    """Read a file's footer and compare it with the index.

    Args:
        path: full path of the file.
        source: the open file.
        file: the file as the index has it.

    Raises:
        StreamError: its size or footer differs from the index.
    """
    cause = "the file was rewritten after it was published"
    source.seek(0, 2)
    size = source.tell()
    if size != file.bytes:
        raise StreamError(
            f"{path} has {size:,} bytes, the dataset version says {file.bytes:,}: {cause}"
        )
    text = read_footer_bytes(source)
    if file.footer and file.footer != compute_footer_checksum(text):
        raise StreamError(f"{path} has another footer than the dataset version says: {cause}")
    metadata = parse_footer(text).metadata
    row_groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    for index, (rows, expected) in enumerate(zip(row_groups, file.row_groups, strict=False)):
        if rows != expected:
            raise StreamError(
                f"{path} row group {index} has {rows} rows, the dataset version says "
                f"{expected}: {cause}"
            )
    if len(row_groups) != len(file.row_groups):
        raise StreamError(
            f"{path} has {len(row_groups)} row groups, the dataset version says "
            f"{len(file.row_groups)}: {cause}"
        )
    return Footer(metadata, read_checksums(metadata), read_fingerprints(metadata))


def retry_transient_errors(operation: Callable[[], Result]) -> Result:
    """Run an operation, and retry it for some seconds where a store fails that may recover.

    Args:
        operation: reads from a store; it may run several times.
    """
    started = time.monotonic()
    for pause in _RETRY_PAUSES:
        try:
            return operation()
        except Exception as error:
            if not _is_transient(error) or time.monotonic() - started > _RETRY_SECONDS:
                raise
            time.sleep(pause)
    return operation()


def _is_transient(error: Exception) -> bool:
    """Return whether the same operation may succeed some seconds later."""
    # pyarrow reports damage inside a file as an OSError without a number.
    is_damage = type(error) is OSError and error.errno is None
    return is_storage_error(error) and not isinstance(error, _PERMANENT_ERRORS) and not is_damage


def build_read_error(location: str, error: BaseException) -> StreamError:
    """Build the error that says which file or row group could not be read, and why.

    Args:
        location: path of the file, and the row group where it is known.
        error: what the file system or pyarrow raised.
    """
    problem = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
    return StreamError(f"{location} {problem}: {describe_error(error)}")
