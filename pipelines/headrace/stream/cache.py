"""Cache row groups of a remote dataset in memory or on a local disk: bounded, least recent evicted.

An entry is a decoded Arrow table of the columns that are read. On disk it is an Arrow file that is
mapped into memory; ranks of one host share the folder. A file is written under a temporary name and
renamed, so that it is whole or absent, and one that is removed while another process reads it stays
readable until it is closed. The key, which `worker.py` builds, contains the checksum of the data
file's footer: a file that was rewritten has other entries.
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

_SUFFIX, _TEMPORARY_SUFFIX = ".arrow", ".new"
_STALE_SECONDS = 3600  # no table takes so long to write: its writer was killed


class Cache(Protocol):
    """A bounded store of Arrow tables by key."""

    def get(self, key: str) -> pa.Table | None:
        """Return the table of a key; None where there is none."""
        ...

    def put(self, key: str, table: pa.Table) -> None:
        """Store a table, if it fits."""
        ...


def make_cache(
    kind: Literal["memory", "disk"] | None, limit_bytes: int, folder: str
) -> Cache | None:
    """Make the cache that a recipe configures.

    Args:
        kind: where tables are stored; None for no cache.
        limit_bytes: size of all tables together.
        folder: where a cache on disk stores them.
    """
    if kind == "memory":
        return MemoryCache(limit_bytes)
    return DiskCache(folder, limit_bytes) if kind == "disk" else None


class MemoryCache:
    """A cache in the memory of this process, shared by threads.

    Attributes:
        limit_bytes: size of all tables together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._tables: OrderedDict[str, pa.Table] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> pa.Table | None:
        """Return the table of a key; None where there is none."""
        with self._lock:
            if key not in self._tables:
                return None
            self._tables.move_to_end(key)
            return self._tables[key]

    def put(self, key: str, table: pa.Table) -> None:
        """Store a table; one that is larger than the limit is not stored."""
        if table.nbytes > self.limit_bytes:
            return
        with self._lock:
            if key in self._tables:
                return
            self._tables[key] = table
            self._bytes += table.nbytes
            while self._bytes > self.limit_bytes:
                _, evicted = self._tables.popitem(last=False)
                self._bytes -= evicted.nbytes


class DiskCache:
    """A cache in a folder, shared with other processes of this host.

    Attributes:
        folder: contains nothing else.
        limit_bytes: size of all tables together; for a moment it may be exceeded by one table per
            writer.
    """

    def __init__(self, folder: str, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = Path(folder), limit_bytes
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.folder.glob(f"*{_TEMPORARY_SUFFIX}"):  # left by processes that were killed
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

    def get(self, key: str) -> pa.Table | None:
        """Return the table of a key; None where there is none, or where its file is damaged."""
        path = self._build_path(key)
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
            os.utime(path)  # marks it as used now
        except (OSError, pa.ArrowInvalid):
            return None  # also where another process removed it meanwhile
        return table

    def put(self, key: str, table: pa.Table) -> None:
        """Store a table; where the disk is full it is not stored, and nothing is raised."""
        path = self._build_path(key)
        temporary = path.with_name(f"{uuid.uuid4().hex}{_TEMPORARY_SUFFIX}")
        try:
            with (
                pa.OSFile(str(temporary), "wb") as sink,
                pa.ipc.new_file(sink, table.schema) as writer,
            ):
                writer.write_table(table)
            size = temporary.stat().st_size
            if size <= self.limit_bytes:
                self._evict_tables(size)
                temporary.replace(path)
        except OSError:
            pass
        finally:
            temporary.unlink(missing_ok=True)

    def _evict_tables(self, size: int) -> None:
        """Remove the least recently used tables, so that `size` bytes more fit."""
        entries = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):  # another rank removed it
                stat = path.stat()
                entries.append((stat.st_mtime_ns, stat.st_size, path))
        cached_bytes = sum(entry_bytes for _, entry_bytes, _ in entries)
        for _, entry_bytes, path in sorted(entries):
            if cached_bytes + size <= self.limit_bytes:
                break
            path.unlink(missing_ok=True)
            cached_bytes -= entry_bytes

    def _build_path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}{_SUFFIX}"
