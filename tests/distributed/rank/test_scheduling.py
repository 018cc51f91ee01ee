"""What a rank's process sets before Horovod and TensorFlow start their threads."""

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from headrace.distributed.rank.scheduling import avoid_scheduling_delays


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with patch.dict(os.environ):
        os.environ.pop("HOROVOD_CYCLE_TIME", None)
        yield


@pytest.fixture(autouse=True)
def policies(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Process (0 is this one) and policy of each call, none of which takes effect."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(
        os, "sched_setscheduler", lambda pid, policy, _: calls.append((pid, policy))
    )
    return calls


def test_this_process_runs_as_batch_with_a_short_cycle(policies: list[tuple[int, int]]) -> None:
    avoid_scheduling_delays()
    assert policies == [(0, os.SCHED_BATCH)]
    assert os.environ["HOROVOD_CYCLE_TIME"] == "0.3"


def test_a_cycle_that_the_user_set_is_kept() -> None:
    os.environ["HOROVOD_CYCLE_TIME"] = "5"
    avoid_scheduling_delays()
    assert os.environ["HOROVOD_CYCLE_TIME"] == "5"


def test_a_container_that_forbids_it_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(pid: int, policy: int, parameter: object) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    avoid_scheduling_delays()
