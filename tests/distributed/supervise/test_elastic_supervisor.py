"""Supervise elastic runs: ranks are lost, leave, join and are replaced."""

import signal
from functools import partial

import pytest

from headrace.distributed.heartbeat import Position
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from tests.distributed.supervise.supervised_run import (
    ELASTIC,
    FakeRendezvous,
    Run,
    generations_of,
)


def test_survivors_go_on_and_a_new_worker_is_admitted(run: Run) -> None:
    """Two ranks; one is killed; the other goes on alone; a new one joins at the next step."""
    first, second = run.join("a", "b")
    first.carried_values = {"attempt": "x"}

    def leave_for_the_new_one() -> None:
        assert first.requested_changes == [1]
        first.wait_for(2)

    run.clock.at(1, lambda: second.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: first.wait_for(1))
    run.clock.at(10, lambda: run.join("c"))
    run.clock.at(11, leave_for_the_new_one)
    run.clock.at(
        20, lambda: [w.exit(0, {"loss": 1}) for w in run.launcher.workers if w.code is None]
    )
    assert run.supervise(ELASTIC, 2) == {"loss": 1}
    third = run.launcher.workers[2]
    assert generations_of(first) == [(0, 0, 2), (1, 0, 1), (2, 0, 2)]
    assert generations_of(second) == [(0, 1, 2)]
    assert generations_of(third) == [(2, 1, 2)]
    assert [slot.facts for slot in first.slots] == [{}, {"attempt": "x"}, {"attempt": "x"}]
    assert third.slots[0].facts == {"attempt": "x"}
    assert run.launcher.started == [2, 1]
    assert run.messages == [
        "rank 1 of 2 exited with -9",
        "going on with 1 ranks instead of 2",
        "going on with 2 ranks instead of 1",
    ]
    assert [r.is_open for r in FakeRendezvous.opened] == [False, False, False]


def test_members_are_not_asked_to_leave_for_a_worker_that_would_be_spare(run: Run) -> None:
    """Three cannot share the work, which 1, 2 or 4 can."""
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: run.join("c"))
    run.clock.at(5, lambda: [worker.exit(0, {}) for worker in (first, second)])
    run.supervise(ELASTIC, 2)
    assert first.requested_changes == []
    assert run.messages == []


def test_members_are_not_asked_to_leave_once_one_is_finished(run: Run) -> None:
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: second.exit(0))
    run.clock.at(2, lambda: run.join("c", "d"))
    run.clock.at(5, lambda: first.exit(0, {}))
    run.supervise(ELASTIC, 2)
    assert first.requested_changes == []


def test_every_generation_can_grow(run: Run) -> None:
    """One rank, then two, then four."""
    (first,) = run.join("a")
    run.clock.at(1, lambda: run.join("b"))
    run.clock.at(2, lambda: first.wait_for(1))
    run.clock.at(3, lambda: run.join("c", "d"))
    run.clock.at(4, lambda: [w.wait_for(2) for w in run.launcher.workers[:2]])
    run.clock.at(5, lambda: [w.exit(0, {}) for w in run.launcher.workers])
    run.supervise(ELASTIC, 1)
    assert first.requested_changes == [0, 1]
    assert generations_of(first) == [(0, 0, 1), (1, 0, 2), (2, 0, 4)]


def test_spare_workers_are_counted_and_replace_a_loss_at_once(run: Run) -> None:
    first, second, spare, other = run.join("a", "b", "c", "d")
    task = RankTask("a:b", {}, sizes=[1, 2])
    run.clock.at(1, lambda: first.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: second.wait_for(1))
    run.clock.at(5, lambda: [w.exit(0, {}) for w in (second, spare)])
    run.supervise(task, 2)
    assert generations_of(second) == [(0, 1, 2), (1, 0, 2)]
    assert generations_of(spare) == [(1, 1, 2)]
    assert generations_of(other) == []
    assert run.messages[1] == "going on with 2 ranks instead of 2, 1 spare"


def test_an_error_of_its_own_ends_an_elastic_run_too(run: Run) -> None:
    _, second = run.join("a", "b")
    run.clock.at(1, lambda: second.fail("bad", time=1.0))
    with pytest.raises(RankError, match="rank 1 of 2 failed with ValueError: bad"):
        run.supervise(ELASTIC, 2)
    assert len(FakeRendezvous.opened) == 1


def test_an_elastic_run_whose_steps_are_done_does_not_regroup(run: Run) -> None:
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: setattr(first, "position", Position(9, -1, False, done=True)))
    run.clock.at(2, lambda: second.exit(-signal.SIGKILL))
    with pytest.raises(RankError, match="rank 1 of 2 exited with -9"):
        run.supervise(ELASTIC, 2)


def test_a_survivor_with_an_error_of_its_own_ends_the_run(run: Run) -> None:
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: second.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: first.fail("bad", time=2.0))
    with pytest.raises(RankError, match="rank 0 of 2 failed with ValueError: bad"):
        run.supervise(ELASTIC, 2)


def test_members_that_lost_each_other_connect_anew(run: Run) -> None:
    """A connection broke: one notices at once, the other after its timeout; no process died."""
    first, second = run.join("a", "b")
    first.carried_values = {"attempt": "x"}
    run.clock.at(1, lambda: first.wait_for(1))
    run.clock.at(31, lambda: second.wait_for(1))
    run.clock.at(40, lambda: [w.exit(0, {"loss": 1}) for w in (first, second)])
    assert run.supervise(ELASTIC, 2) == {"loss": 1}
    assert generations_of(first) == [(0, 0, 2), (1, 0, 2)]
    assert generations_of(second) == [(0, 1, 2), (1, 1, 2)]
    assert second.slots[1].facts == {"attempt": "x"}
    assert run.launcher.started == [2]
    assert run.messages == [
        "the ranks lost each other, and none died: they connect anew",
        "going on with 2 ranks instead of 2",
    ]


def test_a_member_that_left_because_another_died_is_a_loss(run: Run) -> None:
    """Which is seen a moment later than that the survivor has left."""
    first, second = run.join("a", "b")
    run.clock.at(1, lambda: first.wait_for(1))
    run.clock.at(1.5, lambda: second.exit(-signal.SIGKILL))
    run.clock.at(5, lambda: first.exit(0, {}))
    run.supervise(ELASTIC, 2)
    assert run.messages == ["rank 1 of 2 exited with -9", "going on with 1 ranks instead of 2"]
    assert run.launcher.started == [2, 1]


def test_members_that_never_reach_each_other_end_the_run(run: Run) -> None:
    first, second = run.join("a", "b")
    task = RankTask("a:b", {}, collective_timeout=30, sizes=[1, 2], max_losses=2)
    for number in range(1, 4):
        for worker in (first, second):
            run.clock.at(10 * number, partial(worker.wait_for, number))
    with pytest.raises(RankError, match="the ranks lost each other 3 times, though none of them"):
        run.supervise(task, 2)
    assert generations_of(first) == [(0, 0, 2), (1, 0, 2), (2, 0, 2)]


def test_members_that_lose_each_other_now_and_then_go_on(run: Run) -> None:
    """More often than ranks may be lost, with steps between."""
    first, second = run.join("a", "b")
    task = RankTask("a:b", {}, collective_timeout=30, sizes=[1, 2], max_losses=1)

    def leave(number: int) -> None:
        first.position = Position(number, number, False)
        for worker in (first, second):
            worker.wait_for(number)

    for number in range(1, 6):
        run.clock.at(10 * number, partial(leave, number))
    run.clock.at(70, lambda: [w.exit(0, {}) for w in (first, second)])
    run.supervise(task, 2)
    assert len(first.slots) == 6


def test_too_many_losses_end_an_elastic_run(run: Run) -> None:
    _, second = run.join("a", "b")
    task = RankTask("a:b", {}, sizes=[1, 2], max_losses=0)
    run.clock.at(1, lambda: second.exit(-signal.SIGKILL))
    with pytest.raises(RankError, match="1 ranks were lost in all; rank 1 of 2 exited with -9"):
        run.supervise(task, 2)
    assert run.launcher.started == [2]


def test_a_loss_while_ranks_regroup_counts(run: Run) -> None:
    """Of four ranks one is killed, then one that was to leave; the third loss is one too many."""
    first, second, third, fourth = run.join("a", "b", "c", "d")
    task = RankTask("a:b", {}, sizes=[1, 2, 4], max_losses=2)
    run.clock.at(1, lambda: fourth.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: third.exit(-signal.SIGKILL))
    run.clock.at(3, lambda: [worker.wait_for(1) for worker in (first, second)])
    run.clock.at(5, lambda: second.exit(-signal.SIGKILL))
    with pytest.raises(RankError, match="3 ranks were lost in all; rank 1 of 2 exited with -9"):
        run.supervise(task, 4)


def test_as_many_losses_as_allowed_are_survived(run: Run) -> None:
    first, second = run.join("a", "b")
    task = RankTask("a:b", {}, sizes=[1, 2], max_losses=1)
    run.clock.at(1, lambda: second.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: first.wait_for(1))
    run.clock.at(3, lambda: first.exit(0, {"loss": 1}))
    assert run.supervise(task, 2) == {"loss": 1}


def test_a_survivor_that_does_not_leave_is_killed_and_replaced(run: Run) -> None:
    """30 s of the collective and 15 s more."""
    first, second, third = run.join("a", "b", "c")
    task = RankTask("a:b", {}, collective_timeout=30, sizes=[1, 3])
    run.clock.at(1, lambda: third.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: first.wait_for(1))
    run.clock.at(60, lambda: first.exit(0, {}))
    run.supervise(task, 3)
    assert run.messages[1] == "rank 1 did not leave its generation; killing it"
    assert second.signals[0] == "SIGKILL"
    assert run.launcher.started == [3, 1, 1]
    assert generations_of(first) == [(0, 0, 3), (1, 0, 1)]


def test_too_few_survivors_wait_for_others_and_give_up(run: Run) -> None:
    first, second = run.join("a", "b")
    task = RankTask("a:b", {}, sizes=[2])
    run.clock.at(1, lambda: second.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: first.wait_for(1))
    with pytest.raises(
        RankError,
        match=r"1 ranks are left, too few to go on \(train.min_ranks\), and no other rank joined "
        "within 100 seconds",
    ):
        run.supervise(task, 2)


def test_no_survivor(run: Run) -> None:
    """The last one dies while the run waits for another worker."""
    first, second = run.join("a", "b")
    task = RankTask("a:b", {}, sizes=[2])
    run.clock.at(1, lambda: second.exit(-signal.SIGKILL))
    run.clock.at(2, lambda: first.wait_for(1))
    run.clock.at(9, lambda: first.exit(-signal.SIGKILL))
    with pytest.raises(RankError, match="none of the 2 ranks is left; all ranks were terminated"):
        run.supervise(task, 2)
