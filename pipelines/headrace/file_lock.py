"""Lock files against other processes: one meaning of every lock, on every file system.

A lock is taken, or another process has it, or the file system knows no locks (Lustre without
`flock`, several NFS, SMB and FUSE mounts). The last is not the second: who took it for that would
wait, or begin anew, for ever. The caller goes on and says that nobody is kept out.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import IO

# What the kernel answers where another process has the lock; all else means that there are none.
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})


class LockState(Enum):
    """The answer to a request for a lock.

    Attributes:
        TAKEN: this process has it.
        HELD: another process has it.
        UNKNOWN: the file system has no locks; nobody is kept out.
    """

    TAKEN = "taken"
    HELD = "held"
    UNKNOWN = "unknown"


class FileLock:
    """A lock on a file, until it is released or this process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """
        Args:
            path: of the file; it is made where it does not exist, and left there.
        """
        self.path = path
        self._file: IO[str] | None = None

    def take(self, *, wait: bool = False) -> LockState:
        """Take the lock, if no other process has it.

        Args:
            wait: wait for the other process.

        Raises:
            OSError: the file cannot be made or opened.
        """
        if self._file is not None:
            return LockState.TAKEN
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        file = os.fdopen(os.open(self.path, flags, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            file.close()
            return LockState.HELD if error.errno in _HELD else LockState.UNKNOWN
        except BaseException:  # a signal, while waiting
            file.close()
            raise
        self._file = file
        return LockState.TAKEN

    def release(self) -> None:
        """Release the lock, if this process has it."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextmanager
def hold_lock(path: Path) -> Iterator[LockState]:
    """Wait for a lock and hold it within the block.

    Args:
        path: see `FileLock`.

    Yields:
        `UNKNOWN` where nobody is kept out: there are no locks, or the file cannot be made.
    """
    lock, state = FileLock(path), LockState.UNKNOWN
    with suppress(OSError):
        state = lock.take(wait=True)
    try:
        yield state
    finally:
        lock.release()
