"""Turn what libraries raise over damaged files of a table into errors that name the table.

A log or a record with a flipped bit makes a parser, a database engine or a Rust library fail in
whatever way it happens to; none of that is a defect of Headrace, and all of it means the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DamagedError, HeadraceError, get_text
from headrace.redaction import redact_text

# What parsers and readers were seen to raise over damaged bytes.
_OF_PARSERS = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError,
    AssertionError, UnicodeError, pa.ArrowException,
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
    except MemoryError as error:  # a damaged size, or an honest one
        raise DamagedError(
            f"{what} cannot be read, because it is damaged or larger than the memory: "
            f"{_describe(error)}"
        ) from None
    except _OF_PARSERS as error:
        raise DamagedError(f"{what} is damaged: {_describe(error)}; restore it") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of a library in Rust
            raise
        raise DamagedError(f"{what} is damaged: {_describe(error)}; restore it") from None


def read_parquet(source: Any, what: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file of a table's own, checksums of its pages compared.

    Args:
        source: bytes, or an open file.
        what: see `explain_damage`.
        columns: all by default.

    Raises:
        DamagedError: it cannot be read.
    """
    with explain_damage(what):
        opened = pa.BufferReader(source) if isinstance(source, bytes) else source
        try:
            file = pq.ParquetFile(opened, page_checksum_verification=True)
            table = file.read(columns=list(columns) if columns is not None else None)
        except OSError as error:  # most of what pyarrow says of damaged bytes
            if error.errno is not None:  # of the file system
                raise
            raise ValueError(str(error)) from None
        return table


def _describe(error: BaseException) -> str:
    text = " ".join(get_text(error).split())[:300]
    return redact_text(f"{type(error).__name__}: {text}" if text else type(error).__name__)
