"""Keep the output of libraries at import away from the person who runs the pipeline.

TensorFlow writes its oneDNN and CUDA notices to file descriptor 2 before any log level is read;
redirecting the descriptor is the only way. What was captured is shown after all when the block
fails, because it may have the cause. Other threads that write meanwhile would lose their lines, so
libraries that only warn are imported in a block that only ignores warnings.
"""

import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
# What `warnings.simplefilter("ignore")` adds.
_IGNORE: Any = ("ignore", None, Warning, None, 0)
# The blocks that ignore warnings at present, and the filter that they have added.
_blocks: list[None] = []
_added: list[Any] = []


@contextmanager
def silence_imports() -> Iterator[None]:
    """Capture file descriptor 2 and ignore Python warnings for the length of the block.

    Not safe while other threads write to standard error: their lines are dropped too.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        failed = True
        try:
            with ignore_warnings():
                yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            if failed:
                captured.seek(0)
                os.write(2, captured.read())


@contextmanager
def ignore_warnings() -> Iterator[None]:
    """Ignore Python warnings, of all threads, for the length of the block.

    What other threads set meanwhile stays: `warnings.catch_warnings` would undo it.
    """
    with _lock:
        if _IGNORE not in warnings.filters:
            warnings.simplefilter("ignore")
            _added.append(_IGNORE)
        _blocks.append(None)
    try:
        yield
    finally:
        with _lock:
            _blocks.pop()
            if not _blocks and _added:
                _added.clear()
                if _IGNORE in warnings.filters:
                    module: Any = warnings
                    module.filters.remove(_IGNORE)
                    module._filters_mutated()


class _WithoutPy4j(logging.Filter):
    """Leaves out what Py4J's code logs by the root logger, and nothing else."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "/py4j/" not in record.pathname


def silence_py4j() -> None:
    """Keep Py4J from logging a traceback for each call that Ctrl-C interrupts.

    It does so by the root logger, which writes to standard error where nobody has configured it.
    """
    root = logging.getLogger()
    if not any(isinstance(item, _WithoutPy4j) for item in root.filters):
        root.addFilter(_WithoutPy4j())


def silence_query_errors() -> None:
    """Keep PySpark from logging, with its whole stack as JSON, an error of SQL that it raises."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def keep_interrupt_handler() -> Iterator[None]:
    """Restore what happens at Ctrl-C after a block that may change it.

    PySpark's own handler calls the JVM, in the midst of whatever call was interrupted.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and handler is not None and signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


def open_log(path: str) -> int:
    """Open a file to write at its end, for the standard error of a child process.

    A file that is made is for this user alone: it may come to have addresses and rows.

    Returns:
        the descriptor.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
