"""A supervisor over ranks without processes, on a clock that a test writes the events for."""

import signal
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest

from headrace.distributed.heartbeat import Position
from headrace.distributed.slot import Slot, assign_slots
from headrace.distributed.supervise import supervisor as supervisor_module
from headrace.distributed.supervise.supervisor import Supervisor
from headrace.distributed.task import RankTask
from headrace.errors import RankError, StoppedError
from headrace.progress import Progress
from tests.distributed.fakes import FakeClock, FakeWorker

RIGID = RankTask("a:b", {}, collective_timeout=30, ending_grace=25.0)
ELASTIC = RankTask("a:b", {}, collective_timeout=30, sizes=[1, 2, 4])


class FakeRendezvous:
    """Slots as the real one assigns them, without a server."""

    opened: ClassVar[list["FakeRendezvous"]] = []

    def __init__(
        self, address: str, hosts: Sequence[str], generation: int, facts: dict[str, Any]
    ) -> None:
        self.slots: list[Slot] = assign_slots(
            hosts, generation=generation, address=address, port=1, facts=facts
        )
        self.is_open = True
        self.opened.append(self)

    def close(self) -> None:
        self.is_open = False


class FakeLauncher:
    """A launcher whose workers join when the test says so."""

    address = "10.0.0.1"

    def __init__(self) -> None:
        self.workers: list[FakeWorker] = []
        self.started: list[int] = []
        self.failure = ""

    def list_workers(self) -> Sequence[FakeWorker]:
        return list(self.workers)

    def start_workers(self, count: int) -> None:
        self.started.append(count)

    def start_pending(self) -> None:
        pass

    def raise_if_failed(self) -> None:
        if self.failure:
            raise RankError(self.failure)


class Run:
    """A supervisor, what it watches, and what it says."""

    def __init__(self) -> None:
        self.clock, self.launcher = FakeClock(), FakeLauncher()
        self.messages: list[str] = []
        self.should_stop: Callable[[], bool] = lambda: False

    def join(self, *hosts: str) -> list[FakeWorker]:
        """Let one worker per host join now."""
        workers = [FakeWorker(host) for host in hosts]
        self.launcher.workers += workers
        return workers

    def supervise(self, task: RankTask, ranks: int) -> dict[str, Any]:
        def report(progress: Progress) -> None:
            self.messages.append(progress.text)

        return Supervisor(
            task,
            self.launcher,
            report,
            start_timeout=100.0,
            should_stop=self.should_stop,
            clock=self.clock,
            sleep=self.clock.sleep,
        ).run(ranks)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(supervisor_module, "RendezvousServer", FakeRendezvous)
    monkeypatch.setattr(FakeRendezvous, "opened", [])
    return Run()


def generations_of(worker: FakeWorker) -> list[tuple[int, int, int]]:
    """Return generation, rank and size of each slot that the worker had."""
    return [(slot.generation, slot.rank, slot.size) for slot in worker.slots]


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
