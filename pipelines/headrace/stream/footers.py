"""Open files of a dataset version and make sure that they are what was published.

A version's index has the size of each file and a checksum of its footer. The footer has, in the
files that `prepare` writes, a checksum of every column of every row group. So a file that was
rewritten is found by whoever opens it, and a damaged value by whoever decodes it, at the cost of
a sum over the decoded memory (some 5%). Files of others are held to their size and footer alone.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from headrace.errors import StreamError
from headrace.lake.checksums import footer_bytes, footer_checksum, noted_checksums, parsed_footer
from headrace.lake.data_file import DataFile
from headrace.lake.storage import is_storage_error, said

# Parsed footers that are kept; one of 64 row groups and 40 columns takes some 200 kB.
_FOOTERS = 64
# A store that is down for some seconds is waited for: tried again after these pauses, and no more
# once so much time is gone (S3's client tries for some 10 s itself, where it can). What is not
# there, or not allowed, will not be there a second later.
_PAUSES, _GIVE_UP = (0.2, 0.4, 0.8, 1.6, 3.2), 8.0
_FOR_GOOD = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Footer:
    """What a file says of itself.

    Attributes:
        meta: pyarrow's metadata.
        checksums: column -> sum of each row group's words; empty where the file has none.
    """

    meta: Any
    checksums: dict[str, list[int]]


class Footers:
    """Footers of an epoch's files, read once each; shared by reader threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Footer] = OrderedDict()

    def of(self, path: str, source: Any, file: DataFile) -> Footer:
        """The footer of an open file.

        Raises:
            StreamError: the file is another one than was published.
        """
        with self._lock:
            if path in self._known:
                self._known.move_to_end(path)
                return self._known[path]
        footer = read_footer(path, source, file)
        with self._lock:
            self._known[path] = footer
            while len(self._known) > _FOOTERS:
                self._known.popitem(last=False)
        return footer


def read_footer(path: str, source: Any, file: DataFile) -> Footer:
    """Read and check a file's footer.

    Raises:
        StreamError: its size or footer is not what the index says.
    """
    again = "the file was rewritten after it was published"
    source.seek(0, 2)
    size = source.tell()
    if size != file.bytes:
        raise StreamError(
            f"{path} has {size:,} bytes, the dataset version says {file.bytes:,}: {again}"
        )
    text = footer_bytes(source)
    if file.footer and file.footer != footer_checksum(text):
        raise StreamError(f"{path} has another footer than the dataset version says: {again}")
    meta = parsed_footer(text).metadata
    found = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    for index, (rows, expected) in enumerate(zip(found, file.row_groups, strict=False)):
        if rows != expected:
            raise StreamError(
                f"{path} row group {index} has {rows} rows, the dataset version says "
                f"{expected}: {again}"
            )
    if len(found) != len(file.row_groups):
        raise StreamError(
            f"{path} has {len(found)} row groups, the dataset version says "
            f"{len(file.row_groups)}: {again}"
        )
    return Footer(meta, noted_checksums(meta))


def retried(what: Callable[[], Result]) -> Result:
    """Do it again, some seconds long, where a store fails that may recover."""
    started = time.monotonic()
    for pause in _PAUSES:
        try:
            return what()
        except Exception as error:
            if not _may_pass(error) or time.monotonic() - started > _GIVE_UP:
                raise
            time.sleep(pause)
    return what()


def _may_pass(error: Exception) -> bool:
    # pyarrow says what is wrong inside a file with an OSError that has no number.
    inside = type(error) is OSError and error.errno is None
    return is_storage_error(error) and not isinstance(error, _FOR_GOOD) and not inside


def unreadable(where: str, error: BaseException) -> StreamError:
    """For whoever reads it at night."""
    gone = isinstance(error, FileNotFoundError)
    what = "is not there" if gone else "cannot be read"
    return StreamError(f"{where} {what}: {said(error)}")
