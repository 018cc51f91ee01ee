"""When ranks stand still for too long, and which of them is late, by their positions."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from headrace.distributed.heartbeat import Heartbeat, Position
from headrace.distributed.supervise.watchdog import (
    Watchdog,
    describe_late_ranks,
    is_process_stopped,
)
from headrace.errors import RankError
from tests.distributed.fakes import FakeClock


class TwoRanks:
    """Heartbeats of two ranks, and a watchdog of 20 seconds over them."""

    def __init__(self, timeout: float | None = 20.0) -> None:
        self.clock = FakeClock()
        self.heartbeats = [Heartbeat(), Heartbeat()]
        self.watchdog = Watchdog(
            lambda: [heartbeat.read_position() for heartbeat in self.heartbeats],
            lambda: [False, False],
            timeout,
            self.clock,
        )

    def check_after(self, seconds: float) -> None:
        self.clock.now += seconds
        self.watchdog.check_progress()


@pytest.mark.parametrize(
    ("positions", "stopped", "expected"),
    [
        ([(3, True), (3, False)], [0, 0], "rank 1 of 2 did not join the collective; rank 0 is in"),
        ([(3, True), (4, False), (3, True)], [0, 0, 0], "rank 1 of 3 did not join the collective"),
        ([(3, False), (3, True), (3, False)], [0, 0, 0], "rank 0 and rank 2 of 3 did not join"),
        ([(3, True), (3, True)], [0, 1], "rank 1 of 2 is stopped (SIGSTOP)"),
        ([(3, True), (3, False)], [1, 0], "rank 0 of 2 is stopped (SIGSTOP)"),
        ([(3, True), (3, True)], [0, 0], "all ranks are inside the same step"),
        ([(3, True), (4, True)], [0, 0], "one of them skipped a step"),
        ([(-1, False), (-1, False)], [0, 0], "all ranks are at the same point; rank 0 is before"),
        ([(3, True)], [0], "all ranks are at the same point; rank 0 is inside step 4"),
    ],
)
def test_the_late_rank_is_named_first(
    positions: list[tuple[int, bool]], stopped: list[int], expected: str
) -> None:
    text = describe_late_ranks(
        [Position(9, step, inside) for step, inside in positions], [bool(s) for s in stopped]
    )
    assert text.startswith(expected) or expected in text.split(";")[0]
    assert all(f"rank {rank} is " in text for rank in range(len(positions)))


def test_a_standstill_is_an_error_only_beyond_the_timeout() -> None:
    ranks = TwoRanks()
    ranks.heartbeats[0].enter_step(6)
    ranks.check_after(5)
    ranks.check_after(20)
    with pytest.raises(RankError, match=r"no rank has made progress for 20 seconds") as error:
        ranks.check_after(0.5)
    assert "rank 1 of 2 did not join the collective; rank 0 is inside step 7" in str(error.value)
    assert str(error.value).endswith("all ranks were terminated")


def test_a_beat_of_any_rank_is_progress_of_all() -> None:
    ranks = TwoRanks()
    for _ in range(4):
        ranks.heartbeats[1].beat()
        ranks.check_after(15)
    ranks.check_after(20)
    with pytest.raises(RankError):
        ranks.check_after(0.5)


def test_the_time_before_the_first_check_counts() -> None:
    with pytest.raises(RankError, match="all ranks are at the same point"):
        TwoRanks().check_after(20.5)


def test_no_standstill_is_an_error_once_a_rank_is_done() -> None:
    """Registering a model moves no heartbeat: not only the change to `done` resets the time."""
    ranks = TwoRanks()
    ranks.heartbeats[1].mark_done()
    ranks.check_after(1)
    ranks.check_after(1000)
    ranks.check_after(1000)


def test_work_without_steps_may_take_as_long_as_it_likes() -> None:
    TwoRanks(timeout=None).check_after(1_000_000)


@pytest.fixture
def process() -> Iterator[subprocess.Popen]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_stopped_process_is_told_from_a_running_and_an_absent_one(
    process: subprocess.Popen,
) -> None:
    assert not is_process_stopped(process.pid)
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    assert is_process_stopped(process.pid)
    process.kill()
    process.wait()
    assert not is_process_stopped(process.pid)
