"""A supervisor over ranks without processes, on a clock that a test writes the events for."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from headrace.distributed.slot import Slot, assign_slots
from headrace.distributed.supervise.supervisor import Supervisor
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import Progress
from tests.distributed.fakes import FakeClock, FakeWorker

RIGID = RankTask("a:b", {}, collective_timeout=30, ending_grace=25.0)
ELASTIC = RankTask("a:b", {}, collective_timeout=30, sizes=[1, 2, 4])


class FakeRendezvous:
    """Slots as the real one assigns them, without a server."""

    opened: ClassVar[list["FakeRendezvous"]] = []

    def __init__(
        self,
        collectives: str,
        address: str,
        hosts: Sequence[str],
        generation: int,
        facts: dict[str, Any],
    ) -> None:
        assert collectives == "horovod"
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


def generations_of(worker: FakeWorker) -> list[tuple[int, int, int]]:
    """Return generation, rank and size of each slot that the worker had."""
    return [(slot.generation, slot.rank, slot.size) for slot in worker.slots]
