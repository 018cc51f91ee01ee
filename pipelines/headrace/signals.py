"""What SIGTERM does: it ends the process by an exception, or is noted for who asks."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(SystemExit):
    """SIGTERM arrived; unwinding ends what is in progress, such as an MLflow run."""


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Have SIGTERM raise `Terminated` within the block."""
    previous = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def note_sigterm() -> Callable[[], bool]:
    """Note SIGTERM from now on and go on; returns a function that tells whether it arrived."""
    arrived: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: arrived.append(number))
    return lambda: bool(arrived)


def _raise_terminated(number: int, frame: object) -> None:
    raise Terminated(EXIT_TERMINATED)
