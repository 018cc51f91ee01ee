"""Choose what reads an epoch's blocks: Petastorm, or pyarrow alone.

Either reads the same blocks in the same order, by the same worker (`worker.py`), so that batches,
accounts and errors do not depend on the choice. Only the engine that is chosen is imported.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, Literal, Protocol, get_args

from headrace.errors import StreamError, get_first_line
from headrace.stream.worker import BlockResult, BlockTask

Engine = Literal["petastorm", "pyarrow"]
"""The values of the recipe's key `stream.engine`."""

PETASTORM_RELEASE = "0.13.1"
"""The release that `petastorm_api.py` is written for, and that `pyproject.toml` asks for."""


class BlockReader(Protocol):
    """A reader of one epoch's blocks; prefetching begins when it is created."""

    @property
    def has_submitted_all(self) -> bool:
        """Return whether the last block was submitted to the reader threads."""
        ...

    def read_block(self) -> BlockResult | None:
        """Read the next block in planned order; None after the last one.

        Raises:
            StreamError: its file cannot be read, or is not the one that was published.
        """
        ...

    def close(self) -> None:
        """Cancel what has not been read, and wait for the blocks that are being read."""
        ...


def open_block_reader(
    engine: Engine,
    filesystem: Any,
    tasks: Sequence[BlockTask],
    *,
    threads: ThreadPoolExecutor,
    prefetch: int,
) -> BlockReader:
    """Open a reader of blocks.

    Args:
        engine: what reads.
        filesystem: fsspec file system of the files.
        tasks: the blocks in the order in which they are needed, at least one.
        threads: the reader threads.
        prefetch: blocks that are read before they are needed.

    Raises:
        StreamError: Petastorm is chosen and cannot be imported.
        OSError, pyarrow.ArrowException: a file cannot be opened.
    """
    return load_reader(engine)(filesystem, tasks, threads=threads, prefetch=prefetch)


def load_reader(engine: Engine) -> Callable[..., BlockReader]:
    """Import an engine, and return its class of readers.

    Raises:
        StreamError: Petastorm is chosen and cannot be imported, or there is no such engine.
    """
    check_engine(engine)
    if engine == "pyarrow":
        from headrace.stream.pyarrow_reader import PyarrowReader

        return PyarrowReader
    try:
        from headrace.stream.petastorm_reader import PetastormReader
    except Exception as error:  # a release that does not fit fails with any error at import
        cause = f"{type(error).__name__}: {get_first_line(error)}"
        raise _build_missing_error(cause) from error
    return PetastormReader


def check_engine(engine: Engine) -> None:
    """Check that what an engine needs is installed, without importing it.

    Raises:
        StreamError: it is not, and the message says what to do; or there is no such engine.
    """
    if engine not in get_args(Engine):
        names = " or ".join(get_args(Engine))
        raise StreamError(f"there is no engine {engine!r} (stream.engine); take {names}")
    if engine == "petastorm" and find_spec("petastorm") is None:
        raise _build_missing_error("it is not installed")


def _build_missing_error(cause: str) -> StreamError:
    return StreamError(
        f"stream.engine is petastorm, and Petastorm cannot be imported ({cause}); run pip "
        f"install petastorm=={PETASTORM_RELEASE}, or set stream.engine: pyarrow, which reads the "
        "same batches"
    )
