"""The stopwatch of the first step."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.train.first_step import FirstStepTimer


def test_the_first_step_alone_is_timed_and_opens_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    tracked_training: Any = SimpleNamespace(begin_writing=lambda: opened.append("run"))
    timer = FirstStepTimer(100.0, lambda: tracked_training)
    step = timer.wrap_step(lambda *args, **options: SimpleNamespace(loss=0.5, call=(args, options)))
    now = [1.7e9, 103.5]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[1])
    assert step("batch", 0, rate=0.1).call == (("batch", 0), {"rate": 0.1})
    assert (timer.seconds, timer.finished_at) == (3.5, 1.7e9)
    now[:] = [1.8e9, 200.0]
    step("batch", 1, rate=0.1)
    assert (timer.seconds, timer.finished_at) == (3.5, 1.7e9)
    assert opened == ["run"]


def test_a_rank_that_tracks_nothing_is_timed_too() -> None:
    timer = FirstStepTimer(time.monotonic(), lambda: None)
    timer.wrap_step(lambda: SimpleNamespace(loss=0.5))()
    assert timer.finished_at > 0
