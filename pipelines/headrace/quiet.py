"""Keep the output of libraries at import away from the person who runs the pipeline.

TensorFlow writes its oneDNN and CUDA notices to file descriptor 2 before any log level is read, and
pyspark's launcher does the same; redirecting the descriptor is the only way. What was captured is
shown after all when the block fails, because it may have the cause.

Blocks of several threads may overlap: the descriptor is that of the block that began last, and that
of the process again when all have ended.
"""

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
# Descriptors that blocks send standard error to, in the order in which the blocks began.
_targets: list[int] = []
# Copy of the process's own, while there is a block.
_own: list[int] = []
# What `warnings.simplefilter("ignore")` adds, and how many blocks want it.
_IGNORE = ("ignore", None, Warning, None, 0)
_ignoring: list[object] = []


@contextmanager
def silence_imports() -> Iterator[None]:
    """Capture file descriptor 2 and ignore Python warnings for the length of the block.

    What other threads write to standard error meanwhile is dropped too.
    """
    with tempfile.TemporaryFile() as captured:
        try:
            with _redirect_descriptor(captured.fileno()), _ignore_warnings():
                yield
        except BaseException:
            captured.seek(0)
            os.write(2, captured.read())
            raise


@contextmanager
def redirect_stderr(path: str) -> Iterator[None]:
    """Send file descriptor 2 to the end of `path` for the length of the block.

    A child process that is started in the block keeps writing there afterwards.
    """
    target = open_log(path)
    try:
        with _redirect_descriptor(target):
            yield
    finally:
        os.close(target)


def open_log(path: str) -> int:
    """Open a file to write at its end, and return the descriptor.

    A file that is made is for this user alone: it may come to have addresses and rows.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


@contextmanager
def _redirect_descriptor(target: int) -> Iterator[None]:
    sys.stderr.flush()
    with _lock:
        if not _targets:
            _own.append(os.dup(2))
        _targets.append(target)
        os.dup2(target, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        with _lock:
            _targets.remove(target)
            os.dup2(_targets[-1] if _targets else _own[0], 2)
            if not _targets:
                os.close(_own.pop())


@contextmanager
def _ignore_warnings() -> Iterator[None]:
    """Ignore warnings: `warnings.catch_warnings` would undo what other threads set meanwhile."""
    with _lock:
        if not _ignoring and _IGNORE not in warnings.filters:
            warnings.simplefilter("ignore")
            _ignoring.append(_IGNORE)
        _ignoring.append(None)
    try:
        yield
    finally:
        with _lock:
            _ignoring.pop()
            if _ignoring == [_IGNORE]:
                _ignoring.clear()
                if _IGNORE in warnings.filters:
                    warnings.filters.remove(_IGNORE)  # type: ignore[attr-defined]
                    warnings._filters_mutated()  # type: ignore[attr-defined]
