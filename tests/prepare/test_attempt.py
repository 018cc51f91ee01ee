"""The clock of an attempt."""

import time

import pytest

from headrace.prepare.attempt import Clock


def test_steps_of_one_name_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 101.5, 104.0, 104.25])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    clock = Clock()
    for name in ("read", "fit", "read"):
        clock.record_step(name)
    assert clock.seconds == {"read": 1.75, "fit": 2.5}
