"""Tell what is done with the lines that libraries and users' code print in processes of ours.

Native libraries (TensorFlow, Horovod, Gloo, NCCL, cuDNN) write notices to standard error that no
setting of theirs silences all of. Those are kept from the terminal, and counted; errors, and what
users' own functions print, are shown. Whoever shows or logs them installs a handler.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headrace.output import escape_controls

Handler = Callable[[str, bool], None]
"""Takes a line without its end, and whether it is a notice that tells a user nothing."""

_SOURCE = re.compile(r"\[(rank \d+|unassigned rank)\] ")
_NOTICES = re.compile(
    r"""
    [DTIW]\d{4}\ \d\d:\d\d:\d\d                            # Abseil: I0000 00:00:1764.5 cuda_dnn.cc
    | \d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d\.\d+:\ [DTIW]\       # TensorFlow
    | \[\d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d\.\d+:\ [DTIW]\     # Horovod
    | [\w.-]+:\d+:\d+\ \[\d+\]\ NCCL\ (INFO|WARN)          # host:process:thread [device]
    | \[\w*\]?\ ?NCCL\ INFO
    | WARNING:\ All\ log\ messages\ before\ absl::InitializeLog
    | .*Unable\ to\ register\ cu(DNN|FFT|BLAS)\ factory    # said as an error, and none
    | .*computation\ placer\ already\ registered
    | (Matplotlib\ is\ building|Matplotlib\ created\ a\ temporary)
    | /[^:]*/(site|dist)-packages/[^:]+:\d+:\ \w*Warning:  # of a library's own code
    | \ \ warnings\.warn\(
    """,
    re.VERBOSE,
)


def is_notice(line: str) -> bool:
    """Return whether a line is a notice of a library that tells whoever runs a pipeline nothing."""
    source = _SOURCE.match(line)
    return _NOTICES.match(line, source.end() if source else 0) is not None


def _write_to_standard_error(line: str, is_hidden: bool) -> None:
    if not is_hidden:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def write_all_lines(line: str, is_hidden: bool) -> None:
    """Write a line to standard error, notices too: a handler for what others show or hide."""
    _write_to_standard_error(line, False)


_handlers: list[Handler] = [_write_to_standard_error]


@contextmanager
def handle_foreign_lines(handler: Handler) -> Iterator[None]:
    """Have lines of libraries go to a handler for the length of the block."""
    _handlers.append(handler)
    try:
        yield
    finally:
        _handlers.remove(handler)


def write_foreign_line(source: str, line: str) -> None:
    """Write a line that a process has printed.

    Args:
        source: of which process, for example `rank 0`; "" where the line begins with it.
        line: as it was printed.
    """
    text = line.rstrip("\r\n")
    shown = f"[{source}] {text}" if source else text
    _handlers[-1](escape_controls(shown), is_notice(text))
