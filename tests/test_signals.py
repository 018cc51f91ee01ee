"""SIGTERM unwinds the block that asks for it, or is recorded for whoever polls."""

import os
import signal
from collections.abc import Iterator

import pytest

from headrace.signals import EXIT_TERMINATED, Terminated, raise_on_termination, record_termination


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def handler() -> Iterator[list[int]]:
    """A handler of the caller's own, which notes the signals that it gets."""
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, previous)


def test_sigterm_unwinds_the_block(handler: list[int]) -> None:
    steps = []
    with pytest.raises(Terminated) as caught, raise_on_termination():
        try:
            terminate()
            steps.append("went on")
        finally:
            steps.append("cleaned up")
    assert steps == ["cleaned up"]
    assert caught.value.code == EXIT_TERMINATED == 143
    assert handler == []


def test_the_callers_handler_is_back_after_the_block(handler: list[int]) -> None:
    with raise_on_termination():
        pass
    terminate()
    with pytest.raises(ZeroDivisionError), raise_on_termination():
        raise ZeroDivisionError
    terminate()
    assert handler == [signal.SIGTERM] * 2


def test_errors_are_not_caught_as_one(handler: list[int]) -> None:
    """An `except Exception` must not swallow the end of the process."""
    assert not issubclass(Terminated, Exception)


def test_sigterm_is_recorded_and_the_work_goes_on(handler: list[int]) -> None:
    has_arrived = record_termination()
    assert not has_arrived()
    terminate()
    assert has_arrived()
    assert has_arrived()
    assert handler == []
