"""What runs in the background hands over its result, or its error, where it is waited for."""

import threading

import pytest

from headrace.background import Background


def test_the_result_is_handed_over() -> None:
    assert Background(lambda: 7, "seven").wait() == 7


def test_the_error_is_raised_where_it_is_waited_for_and_only_there() -> None:
    def fail() -> None:
        raise OSError("no such store")

    background = Background(fail, "fails")
    assert not background.has_succeeded(10)
    for _ in range(2):
        with pytest.raises(OSError, match="no such store"):
            background.wait()


def test_whether_it_has_succeeded_is_told_within_the_time() -> None:
    gate = threading.Event()
    background = Background(gate.wait, "waits")
    assert not background.has_succeeded(0.01)
    gate.set()
    assert background.has_succeeded(10)
    assert background.wait()
