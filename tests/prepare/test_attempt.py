"""Check the step timer of an attempt."""

import time

import pytest

from headrace.prepare.attempt import StepTimer


def test_steps_of_one_name_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 101.5, 104.0, 104.25])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    timer = StepTimer()
    for name in ("read", "fit", "read"):
        timer.record_step(name)
    assert timer.seconds == {"read": 1.75, "fit": 2.5}
