"""The stopwatch of the first step."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.train.first_step import FirstStepTimer


def test_the_first_step_alone_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    timer = FirstStepTimer(100.0, lambda: None)
    step = timer.wrap_step(lambda *args, **options: SimpleNamespace(loss=0.5, call=(args, options)))
    now = [1.7e9, 103.5]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[1])
    assert step("batch", 0, rate=0.1).call == (("batch", 0), {"rate": 0.1})
    assert (timer.seconds, timer.finished_at) == (3.5, 1.7e9)
    now[:] = [1.8e9, 200.0]
    step("batch", 1, rate=0.1)
    assert (timer.seconds, timer.finished_at) == (3.5, 1.7e9)


def test_the_run_is_waited_for_once_and_looked_for_until_there_is_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [50.0]
    asked: list[float | None] = []

    def wait_for_start(patience: float | None) -> bool:
        asked.append(patience)
        now[0] += 7 if patience is None else 0
        return len(asked) == 3

    tracked_training: Any = SimpleNamespace(wait_for_start=wait_for_start)
    timer = FirstStepTimer(0.0, lambda: tracked_training)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert [timer.open_run() for _ in range(5)] == [7.0, 0.0, 0.0, 0.0, 0.0]
    assert asked == [None, 0.0, 0.0]


def test_a_rank_that_tracks_nothing_is_timed_too() -> None:
    timer = FirstStepTimer(time.monotonic(), lambda: None)
    timer.wrap_step(lambda: SimpleNamespace(loss=0.5))()
    assert timer.finished_at > 0
    assert timer.open_run() == 0.0
