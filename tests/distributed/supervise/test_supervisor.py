"""Supervise runs whose size is fixed."""

import pytest

from headrace.distributed.heartbeat import Position
from headrace.distributed.task import RankTask
from headrace.errors import RankError, StoppedError
from tests.distributed.supervise.supervised_run import (
    RIGID,
    FakeRendezvous,
    Run,
    generations_of,
)


def test_the_result_is_that_of_rank_0(run: Run) -> None:
    first, second = run.join("a", "b")
    run.clock.at(2, lambda: second.exit(0, {"rank": 1}))
    run.clock.at(9, lambda: first.exit(0, {"rank": 0}))
    assert run.supervise(RIGID, 2) == {"rank": 0}
    assert run.launcher.started == [2]
    assert [(s.rank, s.host, s.address) for s in first.slots] == [(0, "a", "10.0.0.1")]
    assert [(s.rank, s.host) for s in second.slots] == [(1, "b")]
    assert [rendezvous.is_open for rendezvous in FakeRendezvous.opened] == [False]


def test_rank_0_has_to_leave_a_result(run: Run) -> None:
    (worker,) = run.join("a")
    run.clock.at(1, lambda: worker.exit(0))
    with pytest.raises(
        RankError, match="rank 0 ended with exit code 0 and without a result; see its log above"
    ):
        run.supervise(RIGID, 1)


def test_workers_that_join_late_and_spare_ones(run: Run) -> None:
    """Ranks follow the order of the launcher's list; the third worker gets no slot."""
    run.clock.at(50, lambda: run.join("a"))
    run.clock.at(60, lambda: run.join("b", "c"))
    run.clock.at(70, lambda: [w.exit(0, {}) for w in run.launcher.workers[:2]])
    run.supervise(RIGID, 2)
    assert [generations_of(worker) for worker in run.launcher.workers] == [
        [(0, 0, 2)],
        [(0, 1, 2)],
        [],
    ]
    assert run.launcher.workers[2].signals == ["SIGTERM", "SIGKILL"]


def test_too_few_workers_are_an_error_that_names_the_setting(run: Run) -> None:
    (worker,) = run.join("a")
    with pytest.raises(
        RankError,
        match=r"1 of 2 ranks joined within 100 seconds \(train.launcher.start_timeout\); are there",
    ):
        run.supervise(RIGID, 2)
    assert worker.signals == ["SIGTERM", "SIGKILL"]


def test_a_launcher_that_failed_ends_the_wait(run: Run) -> None:
    run.clock.at(3, lambda: setattr(run.launcher, "failure", "no rank could be started on a"))
    with pytest.raises(RankError, match="no rank could be started on a"):
        run.supervise(RIGID, 1)
    assert run.clock.now < 4


def test_the_first_error_is_raised_after_time_for_the_others_to_fail(run: Run) -> None:
    """Rank 0 exits first, with Horovod's words; rank 1, whose error was first, a second later."""
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: first.fail("shut down", time=1.0, lost_a_peer=True))
    run.clock.at(2, lambda: second.fail("bad", time=0.9))
    with pytest.raises(RankError, match="rank 1 of 2 failed with ValueError: bad"):
        run.supervise(RIGID, 2)
    assert run.clock.now < 1 + 3  # nobody is left to wait for


def test_ranks_that_hang_after_a_death_are_ended_within_seconds(run: Run) -> None:
    """3 s for errors of their own, 5 s between SIGTERM and SIGKILL."""
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: second.exit(7))
    with pytest.raises(RankError, match="rank 1 of 2 exited with 7; all ranks were terminated"):
        run.supervise(RIGID, 2)
    assert first.signals == ["SIGTERM", "SIGKILL"]
    assert run.clock.now == pytest.approx(1 + 3 + 5, abs=0.2)


def test_all_ranks_are_told_to_end_before_the_first_is_waited_for(run: Run) -> None:
    """One after the other, 512 that hang would take 5 seconds each."""
    first, second = run.join("a", "b")
    told: list[bool] = []
    kill = first.kill
    first.kill = lambda: (told.append(second.kill_started), kill())[1]  # type: ignore[method-assign,func-returns-value]
    run.should_stop = lambda: run.clock.now > 1
    with pytest.raises(StoppedError):
        run.supervise(RIGID, 2)
    assert told == [True]


def test_a_cancelled_run(run: Run) -> None:
    (worker,) = run.join("a")
    run.should_stop = lambda: run.clock.now > 4
    with pytest.raises(StoppedError, match="the run was cancelled by the caller"):
        run.supervise(RIGID, 1)
    assert worker.signals == ["SIGTERM", "SIGKILL"]
    assert run.clock.now == pytest.approx(4 + 5, abs=0.2)


def test_a_terminated_supervisor_gives_ranks_time_for_a_checkpoint(run: Run) -> None:
    """The task's 25 s, and not the 5 s after a failure."""

    def terminate() -> bool:
        raise KeyboardInterrupt

    run.join("a")
    run.should_stop = terminate
    with pytest.raises(KeyboardInterrupt):
        run.supervise(RIGID, 1)
    assert run.clock.now == pytest.approx(25, abs=0.2)


def test_a_standstill_is_found_on_the_same_clock(run: Run) -> None:
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: setattr(first, "position", Position(1, 3, True)))
    run.clock.at(1, lambda: setattr(second, "position", Position(1, 3, False)))
    with pytest.raises(RankError, match=r"no rank has made progress for 60 s.*: rank 1 of 2"):
        run.supervise(RankTask("a:b", {}, step_timeout=60), 2)
    assert run.clock.now == pytest.approx(1 + 60 + 5, abs=0.3)
