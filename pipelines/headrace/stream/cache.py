"""Row groups of a remote dataset, kept in memory or on a local disk, bounded, least recent out.

What is kept is decoded: an Arrow table of the columns that are read. On disk it is an Arrow file
that is mapped into memory; ranks of one host share the folder. A file is written under another name
and renamed, so that it is whole or absent, and one that is removed while somebody reads it stays
readable until it is closed. The key has the checksum of the file's footer: a file that was
rewritten has other entries.
"""

import hashlib
import os
import threading
import time
import uuid
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

_ENDING, _ASIDE = ".arrow", ".new"
_DEAD_AFTER = 3600  # seconds that nobody takes to write a table


class Cache(Protocol):
    """Tables by key."""

    def get(self, key: str) -> pa.Table | None: ...

    def put(self, key: str, table: pa.Table) -> None: ...


def make_cache(kind: Literal["memory", "disk"] | None, limit: int, folder: str) -> Cache | None:
    """The cache of a kind, of so many bytes; on disk in the folder."""
    if kind == "memory":
        return MemoryCache(limit)
    return DiskCache(folder, limit) if kind == "disk" else None


class MemoryCache:
    """Tables of this process.

    Attributes:
        limit: bytes of all of them together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> pa.Table | None:
        with self._lock:
            if key not in self._tables:
                return None
            self._tables.move_to_end(key)
            return self._tables[key]

    def put(self, key: str, table: pa.Table) -> None:
        """Keep it; one that is larger than the limit is not kept."""
        if table.nbytes > self.limit:
            return
        with self._lock:
            if key in self._tables:
                return
            self._tables[key] = table
            self._bytes += table.nbytes
            while self._bytes > self.limit:
                _, gone = self._tables.popitem(last=False)
                self._bytes -= gone.nbytes


class DiskCache:
    """Tables in a folder, shared with other processes of this host.

    Attributes:
        folder: holds nothing else.
        limit: bytes of all of them together; for a moment there may be as many more as there are
            writers, one table each.
    """

    def __init__(self, folder: str, limit: int) -> None:
        self.folder, self.limit = Path(folder), limit
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob(f"*{_ASIDE}"):  # of processes that were killed
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _DEAD_AFTER:
                    path.unlink()

    def get(self, key: str) -> pa.Table | None:
        path = self._path(key)
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
            os.utime(path)  # used now
        except (OSError, pa.ArrowInvalid):
            return None  # not there, or removed at this moment
        return table

    def put(self, key: str, table: pa.Table) -> None:
        """Keep it. A disk that is full keeps nothing, and is no reason to stop."""
        path = self._path(key)
        aside = path.with_name(f"{uuid.uuid4().hex}{_ASIDE}")
        try:
            with pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            size = aside.stat().st_size
            if size <= self.limit:
                self._make_room(size)
                aside.replace(path)
        except OSError:
            pass
        finally:
            aside.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Remove what was used longest ago."""
        found = []
        for path in self.folder.glob(f"*{_ENDING}"):
            with suppress(OSError):  # another rank removed it
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        held = sum(bytes_ for _, bytes_, _ in found)
        for _, bytes_, path in sorted(found):
            if held + size <= self.limit:
                break
            path.unlink(missing_ok=True)
            held -= bytes_

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}{_ENDING}"
