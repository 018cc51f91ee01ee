"""Handle SIGTERM: raise an exception that ends the process, or record it for polling."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """The exception of SIGTERM; unwinding ends work in progress, such as an MLflow run."""


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Raise `Terminated` where SIGTERM arrives within the block."""
    previous = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def record_sigterm() -> Callable[[], bool]:
    """Record SIGTERM from now on instead of ending; returns a function whether it arrived."""
    arrived: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: arrived.append(number))
    return lambda: bool(arrived)


def _raise_terminated(number: int, frame: object) -> None:
    raise Terminated(EXIT_TERMINATED)
