"""Write to standard output and error such that nobody who watches can stop the work, or learn more.

What is written is free of secrets. A pipe that was closed, a terminal that is gone, a disk that is
full, a reader that does not read: none of them is a reason to end. It is said once at the end,
where that can be said.
"""

import contextlib
import os
import re
import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from headrace.redaction import redact_text

# A reader that has read nothing for so long is not waited for again until it reads, seconds.
_PATIENCE = 60.0
# A pipe that is ready takes that many bytes without blocking (POSIX, PIPE_BUF on Linux).
_CHUNK = 4096
# Characters that command a terminal, or reorder what it shows; lines and tabs are not among them.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(text: str) -> str:
    r"""Return a text with what commands a terminal as escape sequences; lines and tabs stay.

    >>> escape_controls("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escape_line(text: str) -> str:
    r"""Return a text as one line: line breaks are escaped, too.

    >>> escape_line("a\nheadrace: done")
    'a\\nheadrace: done'
    """
    return escape_controls(text).replace("\n", "\\n")


def escape_message(text: str) -> str:
    r"""Return a message of several lines whose further lines cannot be taken for lines of ours.

    >>> escape_message("no file 'a\nheadrace prepare: done'")
    "no file 'a\n  headrace prepare: done'"
    """
    first, *others = escape_controls(text).split("\n")
    return "\n".join([first, *(f"  {line}" if line[:1].strip() else line for line in others)])


class GuardedStream:
    """A text stream that redacts, and takes what cannot be written without an error."""

    def __init__(self, stream: TextIO) -> None:
        """
        Args:
            stream: normally `sys.stdout` or `sys.stderr`.
        """
        self.failure: str | None = None
        """Why something was not written; None while all was."""
        self._stream = stream
        self._lock = threading.RLock()
        self._patience = _PATIENCE
        self._descriptor = _find_descriptor(stream)

    def write(self, text: str) -> int:
        """Write a text; what cannot be written is dropped, and remembered as `failure`."""
        redacted = redact_text(text)
        with self._lock:
            try:
                if self._descriptor is None:
                    self._stream.write(redacted)
                else:
                    encoding = self._stream.encoding or "utf-8"
                    self._write_bytes(redacted.encode(encoding, errors="backslashreplace"))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else None
                self.failure = reason or str(error) or type(error).__name__
        return len(text)

    def flush(self) -> None:
        """Flush what a stream that is no file holds back."""
        if self._descriptor is None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _write_bytes(self, data: bytes) -> None:
        """Write bytes to the descriptor, in pieces that cannot block.

        Raises:
            OSError: they cannot be written, or nobody reads them.
        """
        assert self._descriptor is not None
        while data:
            deadline = time.monotonic() + self._patience
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                self._patience = 0.0
                raise TimeoutError(None, "nobody reads it")
            try:
                data = data[os.write(self._descriptor, data[:_CHUNK]) :]
            except BlockingIOError:  # another writer was faster
                time.sleep(0.01)
            self._patience = _PATIENCE


@contextlib.contextmanager
def guard_output() -> Iterator[None]:
    """Replace standard output and error by guarded ones for the length of the block."""
    plain = sys.stdout, sys.stderr
    if None in plain:  # Python was started with one of them closed
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            sys.stdout, sys.stderr = (stream or nowhere for stream in plain)
            with guard_output():
                yield
            sys.stdout, sys.stderr = plain
        return
    guarded = tuple(GuardedStream(stream) for stream in plain)
    for stream in plain:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    sys.stdout, sys.stderr = guarded
    try:
        yield
    finally:
        sys.stdout, sys.stderr = plain
        _say_what_was_lost(*guarded)


def _say_what_was_lost(output: GuardedStream, error: GuardedStream) -> None:
    names = {"standard output": output, "standard error": error}
    for name, stream in names.items():
        if stream.failure:
            other = error if stream is output else output
            other.write(
                f"headrace: {name} could not be written ({stream.failure}): what it was to show is "
                "not complete, and the work was not affected\n"
            )
            _forget(stream)


def _forget(stream: GuardedStream) -> None:
    """Send what Python still holds for a broken stream nowhere: it would change the exit code."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _find_descriptor(stream: TextIO) -> int | None:
    """Return the descriptor of a stream that is a file, a pipe or a terminal; else None."""
    try:
        return stream.fileno() if stream.buffer is not None else None
    except (OSError, ValueError, AttributeError):
        return None
