"""Watches over the ranks of a run, wherever their processes are, and says why one failed.

Ranks that work together are a generation. Where the task is not elastic there is one, and the death
of any rank ends all of them within seconds. Where it is, those that are left meet again as the next
generation at once, if they are enough; a rank that comes is taken in at the next step. Ranks beyond
the largest number that the work can be shared by are spare.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headrace.distributed.supervise.failure import Failure, failed_by_itself, first_failure
from headrace.distributed.supervise.rendezvous import Rendezvous
from headrace.distributed.supervise.watchdog import Watchdog
from headrace.distributed.supervise.worker import Worker, named
from headrace.distributed.task import RankTask
from headrace.errors import HeadraceError, RankError, StoppedError
from headrace.progress import Progress, Report

_POLL_SECONDS = 0.05
# After the first death, time for the others to fail by themselves and leave their own errors.
_GRACE_SECONDS = 3.0
# From being told to end until being killed.
_END_SECONDS = 5.0
# Time that ranks have to leave a generation, beyond the timeout of a collective.
_LEAVE_SECONDS = 15.0


class Source(Protocol):
    """Where workers come from: this machine, hosts, executors.

    Attributes:
        address: of this machine, as the workers reach it.
    """

    address: str

    def workers(self) -> Sequence[Worker]:
        """All that came so far, in the order of the places that they get at first."""

    def start(self, count: int) -> None:
        """Have that many more come, if that is up to us."""

    def tend(self) -> None:
        """Called again and again: do what could not be done at once."""

    def check(self) -> None:
        """Raises RankError where no worker will ever come any more."""


class Supervisor:
    """Of one run of a task."""

    def __init__(
        self,
        task: RankTask,
        source: Source,
        report: Report,
        start_timeout: float,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Args:
            task: what the ranks run.
            source: of the workers.
            report: told of ranks that were lost and that came.
            start_timeout: seconds that workers have to come.
            should_stop: whether the run is wanted no more.
        """
        self._should_stop = should_stop
        self._task, self._source, self._report = task, source, report
        self._start_timeout = start_timeout
        self._members: list[Worker] = []
        self._lost: list[Worker] = []
        self._generation = -1
        self._rendezvous: Rendezvous | None = None
        self._facts: dict[str, Any] = {}
        self._asked = False
        self._watchdog = self._dog()

    def run(self, ranks: int) -> dict[str, Any]:
        """Have the task run on that many ranks; see `launch.run_ranks`."""
        grace = _END_SECONDS
        try:
            self._source.start(ranks)
            self._gather(ranks)
            return self._watch()
        except BaseException as error:
            if not isinstance(error, Exception):
                # No rank failed: this process is told to end.
                grace = max(grace, self._task.ending_grace)
            raise
        finally:
            _end(self._source.workers(), grace)
            if self._rendezvous:
                self._rendezvous.close()

    def _gather(self, ranks: int) -> None:
        deadline = time.monotonic() + self._start_timeout
        while len(self._alive()) < ranks:
            self._source.tend()
            self._source.check()
            if time.monotonic() > deadline:
                raise RankError(
                    f"{len(self._alive())} of {ranks} ranks came within {self._start_timeout:g} "
                    "seconds (train.launcher.start_timeout); are there as many free slots?"
                )
            time.sleep(_POLL_SECONDS)
        self._form(self._alive()[:ranks])

    def _watch(self) -> dict[str, Any]:
        while True:
            if self._should_stop():
                raise StoppedError("the run was stopped from outside")
            self._source.tend()
            codes = [worker.code() for worker in self._members]
            if all(code == 0 for code in codes):
                return self._result()
            dead = [w for w, code in zip(self._members, codes, strict=True) if code]
            if dead:
                self._someone_died(dead)
            elif self._task.elastic and 0 not in codes:
                self._take_in()
            self._watchdog.look()
            time.sleep(_POLL_SECONDS)

    def _result(self) -> dict[str, Any]:
        result = self._members[0].result()
        if result is None:
            raise RankError("rank 0 ended well and left no result")
        return result

    # Generations.

    def _form(self, members: list[Worker]) -> None:
        """Begin a generation of these workers, which wait for it."""
        if self._rendezvous:
            self._rendezvous.close()
        self._generation += 1
        self._asked = False
        self._members = members
        hosts = [worker.host for worker in members]
        made = Rendezvous(self._source.address, hosts, self._generation, self._facts)
        self._rendezvous = made
        for worker, place in zip(members, made.places, strict=True):
            worker.assign(place)
        self._watchdog = self._dog()

    def _dog(self) -> Watchdog:
        members = self._members
        return Watchdog(
            lambda: [worker.position() for worker in members],
            lambda: [worker.stopped() for worker in members],
            self._task.step_timeout,
        )

    def _alive(self) -> list[Worker]:
        return [worker for worker in self._source.workers() if worker.code() is None]

    def _someone_died(self, dead: list[Worker]) -> None:
        if not self._task.elastic:
            self._let_fail()
            raise self._cause()
        done = any(worker.position().done or worker.code() == 0 for worker in self._members)
        if done or any(failed_by_itself(worker) for worker in dead):
            self._let_fail()
            raise self._cause()
        why = self._failure(dead)
        self._lost += dead
        if len(self._lost) > self._task.max_losses:
            raise RankError(f"{len(self._lost)} ranks were lost in all; {why}")
        self._report(Progress(why.what))
        self._source.start(len(dead))
        self._meet([worker for worker in self._members if worker not in dead])

    def _take_in(self) -> None:
        """Ask the members to leave where workers wait with which they could be more."""
        if not self._asked:
            others = [w for w in self._alive() if w not in self._members]
            ready = sum(worker.waiting() is not None for worker in others)
            if self._size(len(self._members) + ready) > len(self._members):
                self._asked = True
                for worker in self._members:
                    worker.ask_change(self._generation)
        elif all(self._left(worker) for worker in self._members):
            self._meet(self._members)

    def _left(self, worker: Worker) -> bool:
        return worker.waiting() == self._generation + 1

    def _meet(self, survivors: list[Worker]) -> None:
        """Wait until these have left the generation, and begin the next one with who is there."""
        deadline = time.monotonic() + self._task.collective_timeout + _LEAVE_SECONDS
        while not all(self._left(w) or w.code() is not None for w in survivors):
            if time.monotonic() > deadline:
                for worker in [w for w in survivors if not self._left(w)]:
                    self._report(Progress(f"{named(worker)} does not leave; it is ended"))
                    worker.kill()
                    self._source.start(1)
            time.sleep(_POLL_SECONDS)
        failed = [w for w in survivors if w.code() is not None]
        if any(failed_by_itself(worker) for worker in failed):
            raise self._cause(failed)
        survivors = [w for w in survivors if w not in failed]
        self._lost += failed
        self._facts = {**self._facts, **self._newest_facts()}
        deadline = time.monotonic() + self._start_timeout
        while True:
            survivors = [w for w in survivors if w.code() is None]
            others = [w for w in self._alive() if w not in survivors and w.waiting() is not None]
            there = [*survivors, *others]
            size = self._size(len(there))
            if size and survivors:
                break
            if not survivors:
                raise RankError(f"no rank is left of {len(self._members)}; all ranks were ended")
            self._source.tend()
            self._source.check()
            if time.monotonic() > deadline:
                raise RankError(
                    f"{len(there)} ranks are left, too few to go on (train.min_ranks), and no "
                    f"other came within {self._start_timeout:g} seconds"
                )
            time.sleep(_POLL_SECONDS)
        before = len(self._members)
        self._form(there[:size])
        spare = f", {len(there) - size} spare" if len(there) > size else ""
        self._report(Progress(f"going on with {size} ranks instead of {before}{spare}"))

    def _newest_facts(self) -> dict[str, Any]:
        return self._members[0].facts() if self._members else {}

    def _size(self, there: int) -> int:
        """The largest number of ranks that the work can be shared by; 0 where there is none."""
        return max((size for size in self._task.sizes if size <= there), default=0)

    # Failure.

    def _let_fail(self) -> None:
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and any(w.code() is None for w in self._members):
            time.sleep(_POLL_SECONDS)

    def _cause(self, dead: Sequence[Worker] = ()) -> HeadraceError:
        return self._failure(dead or [w for w in self._members if w.code()]).error()

    def _failure(self, dead: Sequence[Worker]) -> Failure:
        return first_failure(dead, self._members, self._watchdog.late)


def _end(workers: Sequence[Worker], grace: float) -> None:
    """Make sure that all processes are gone, `grace` seconds after they were told to."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(worker.code() is None for worker in workers):
        time.sleep(_POLL_SECONDS)
    for worker in workers:
        worker.kill()
