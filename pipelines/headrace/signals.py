"""Handle SIGTERM and SIGHUP: raise an exception that ends the process, or record them for polling.

SIGHUP, which a closed terminal sends, ends work as SIGTERM does. Where it is ignored, as `nohup`
has it, it stays so. Only the first signal counts: what it makes unwind is not to be interrupted.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_TERMINATED = 128 + signal.SIGTERM
_PR_SET_PDEATHSIG = 1


class Terminated(SystemExit):
    """The exception of such a signal; unwinding ends work in progress, such as an MLflow run."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        """
        Args:
            number: of the signal.
        """
        super().__init__(EXIT_TERMINATED)
        self.signal_name = signal.Signals(number).name


@contextmanager
def raise_on_termination() -> Iterator[None]:
    """Raise `Terminated` where the first of the signals arrives within the block."""

    def raise_terminated(number: int, frame: object) -> None:
        for other in _list_signals():
            signal.signal(other, signal.SIG_IGN)
        raise Terminated(number)

    previous = {number: signal.signal(number, raise_terminated) for number in _list_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def record_termination() -> Callable[[], bool]:
    """Record the signals from now on instead of ending; returns a function whether one arrived."""
    arrived: list[int] = []
    for number in _list_signals():
        signal.signal(number, lambda number, _: arrived.append(number))
    return lambda: bool(arrived)


def _list_signals() -> list[int]:
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, signal.SIGHUP]


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends, however it ends.

    Args:
        parent: process id of the parent, which may have ended before this is called.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)
