"""Turn what libraries raise over damaged files of a table into errors that name the table.

A log or a record with a flipped bit makes a parser, a database engine or a Rust library fail in
whatever way it happens to; none of that is a defect of Headrace, and all of it means the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from headrace.errors import DamagedError, HeadraceError, get_text
from headrace.redaction import redact_text

# What parsers and readers were seen to raise over damaged bytes.
_OF_PARSERS = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError,
    MemoryError, AssertionError, UnicodeError, pa.ArrowException,
)  # fmt: skip


@contextmanager
def explain_damage(what: str) -> Iterator[None]:
    """Turn errors over damaged content within the block into `DamagedError`.

    Errors of stores and errors of ours pass. So do those of delta-rs that say what is missing.

    Args:
        what: is damaged, the begin of the message; for example "dataset /data/x: its _delta_log".

    Raises:
        DamagedError: with what the library said.
    """
    try:
        yield
    except HeadraceError:
        raise
    except _OF_PARSERS as error:
        raise DamagedError(f"{what} is damaged: {_describe(error)}; restore it") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of a library in Rust
            raise
        raise DamagedError(f"{what} is damaged: {_describe(error)}; restore it") from None


def _describe(error: BaseException) -> str:
    text = " ".join(get_text(error).split())[:300]
    return redact_text(f"{type(error).__name__}: {text}" if text else type(error).__name__)
