"""Supervise the ranks of a run, wherever their processes are; return rank 0's result, or raise.

What is raised is the first failure, which explains those that follow from it.

Ranks that work together form a generation. If the task is not elastic there is only one, and the
death of any rank terminates all of them within seconds. If it is elastic, the survivors regroup as
the next generation at once, provided that they are enough; a rank that joins is admitted at the
next step. Ranks beyond the largest number that can share the work are spare. Processes are started
by a launcher and controlled through workers.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headrace.distributed.supervise.failure import Failure, find_first_failure, has_own_error
from headrace.distributed.supervise.rendezvous import Rendezvous, open_rendezvous
from headrace.distributed.supervise.watchdog import Watchdog
from headrace.distributed.supervise.worker import Worker, describe_worker
from headrace.distributed.task import RankTask
from headrace.errors import HeadraceError, RankError, StoppedError
from headrace.progress import Progress, Report

# Seconds from one look at the workers to the next, more where they are many: looking at one takes
# some 10 microseconds.
_SHORTEST_POLL, _LONGEST_POLL, _LOOKS_PER_SECOND = 0.05, 0.5, 2000
# Time after the first death for the other ranks to fail by themselves and leave their own errors.
_GRACE_SECONDS = 3.0
# Time between SIGTERM and SIGKILL.
_END_SECONDS = 5.0
# Time that ranks have to leave a generation, beyond the timeout of a collective.
_LEAVE_SECONDS = 15.0


class Launcher(Protocol):
    """A source of workers: this machine, hosts, executors.

    Attributes:
        address: of this machine, as the workers reach it.
    """

    address: str

    def list_workers(self) -> Sequence[Worker]:
        """Return all workers that have joined so far, in the order of their first ranks."""

    def start_workers(self, count: int) -> None:
        """Start that many more workers, if starting them is up to this launcher."""

    def start_pending(self) -> None:
        """Start workers for which there was no free slot before; called on every poll."""

    def raise_if_failed(self) -> None:
        """Raise RankError if the missing workers will never join."""


class Supervisor:
    """The supervisor of one run of a task."""

    def __init__(
        self,
        task: RankTask,
        launcher: Launcher,
        report: Report,
        start_timeout: float,
        should_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            task: what the ranks run.
            launcher: of the workers.
            report: receives the losses of ranks and the changes of their number.
            start_timeout: seconds within which workers must have joined.
            should_stop: whether the caller cancelled the run.
            clock: returns seconds since any fixed moment.
            sleep: waits for a number of seconds.
        """
        self._should_stop, self._clock, self._sleep = should_stop, clock, sleep
        self._task, self._launcher, self._report = task, launcher, report
        self._start_timeout = start_timeout
        self._members: list[Worker] = []
        self._lost: list[Worker] = []
        self._generation = -1
        self._rendezvous: Rendezvous | None = None
        self._carried_values: dict[str, Any] = {}
        self._change_requested = False
        self._separations, self._separation_step = 0, -2
        self._left_since: float | None = None
        self._watchdog = self._build_watchdog()

    def run(self, ranks: int) -> dict[str, Any]:
        """Run the task on that many ranks; return rank 0's result, or raise the first failure.

        The errors are those of `run_ranks.run_ranks`.
        """
        grace = _END_SECONDS
        try:
            self._launcher.start_workers(ranks)
            self._wait_for_workers(ranks)
            return self._watch_members()
        except BaseException as error:
            if not isinstance(error, Exception):
                # No rank failed: this process itself is being terminated.
                grace = max(grace, self._task.ending_grace)
                self._report(Progress(f"ending the ranks, which have {grace:g} s to save"))
            raise
        finally:
            self._end_workers(grace)
            if self._rendezvous:
                self._rendezvous.close()

    def _wait_for_workers(self, ranks: int) -> None:
        deadline = self._clock() + self._start_timeout
        while len(self._list_alive()) < ranks:
            self._launcher.start_pending()
            self._launcher.raise_if_failed()
            if self._clock() > deadline:
                raise RankError(
                    f"{len(self._list_alive())} of {ranks} ranks joined within "
                    f"{self._start_timeout:g} seconds (train.launcher.start_timeout); are there "
                    "enough free slots?"
                )
            self._pause()
        self._form_generation(self._list_alive()[:ranks])

    def _watch_members(self) -> dict[str, Any]:
        while True:
            if self._should_stop():
                raise StoppedError("the run was cancelled by the caller")
            self._launcher.start_pending()
            codes = [worker.poll_exit_code() for worker in self._members]
            if all(code == 0 for code in codes):
                return self._read_result()
            dead = [w for w, code in zip(self._members, codes, strict=True) if code]
            if dead:
                self._handle_deaths(dead)
            elif self._task.is_elastic and 0 not in codes:
                if self._have_separated():
                    self._rejoin_members()
                else:
                    self._admit_waiting()
            self._watchdog.check_progress()
            self._pause()

    def _read_result(self) -> dict[str, Any]:
        result = self._members[0].read_result()
        if result is None:
            raise RankError("rank 0 ended with exit code 0 and without a result; see its log above")
        return result

    def _pause(self) -> None:
        """Wait until the workers are looked at again."""
        seconds = len(self._launcher.list_workers()) / _LOOKS_PER_SECOND
        self._sleep(min(max(seconds, _SHORTEST_POLL), _LONGEST_POLL))

    def _list_alive(self) -> list[Worker]:
        workers = self._launcher.list_workers()
        return [worker for worker in workers if worker.poll_exit_code() is None]

    def _list_others(self, members: Sequence[Worker]) -> list[Worker]:
        """List the workers that are alive and none of `members`."""
        known = set(map(id, members))
        return [worker for worker in self._list_alive() if id(worker) not in known]

    # Generations.

    def _form_generation(self, members: list[Worker]) -> None:
        """Begin the next generation with these workers, which wait for it."""
        if self._rendezvous:
            self._rendezvous.close()
        self._generation += 1
        self._change_requested = False
        self._members = members
        hosts = [worker.host for worker in members]
        rendezvous = open_rendezvous(
            self._task.collectives,
            self._launcher.address,
            hosts,
            self._generation,
            self._carried_values,
        )
        self._rendezvous = rendezvous
        for worker, slot in zip(members, rendezvous.slots, strict=True):
            worker.assign_slot(slot)
        self._watchdog = self._build_watchdog()

    def _build_watchdog(self) -> Watchdog:
        members = self._members
        return Watchdog(
            lambda: [worker.read_position() for worker in members],
            lambda: [worker.is_stopped() for worker in members],
            self._task.step_timeout,
            self._clock,
        )

    def _handle_deaths(self, dead: list[Worker]) -> None:
        """Raise the cause of death, or regroup if the run is elastic and can survive it."""
        if not self._task.is_elastic:
            self._await_other_failures()
            raise self._find_cause()
        is_finishing = any(w.read_position().done or w.poll_exit_code() == 0 for w in self._members)
        if is_finishing or any(has_own_error(worker) for worker in dead):
            self._await_other_failures()
            raise self._find_cause()
        failure = self._find_failure(dead)
        self._lost += dead
        if len(self._lost) > self._task.max_losses:
            raise RankError(f"{len(self._lost)} ranks were lost in all; {failure}")
        self._report(Progress(failure.summary))
        self._launcher.start_workers(len(dead))
        self._regroup([worker for worker in self._members if worker not in dead])

    def _admit_waiting(self) -> None:
        """Admit waiting workers, if the generation could be larger with them.

        The members are asked to leave first; once all have left, the next generation begins.
        """
        if not self._change_requested:
            others = self._list_others(self._members)
            ready = sum(worker.read_awaited_generation() is not None for worker in others)
            if self._choose_size(len(self._members) + ready) > len(self._members):
                self._change_requested = True
                for worker in self._members:
                    worker.request_change(self._generation)
        elif all(self._has_left(worker) for worker in self._members):
            self._regroup(self._members)

    def _have_separated(self) -> bool:
        """Return whether a member left by itself, so long ago that no death explains it."""
        if self._change_requested or not any(map(self._has_left, self._members)):
            self._left_since = None
            return False
        if self._left_since is None:
            self._left_since = self._clock()
        return self._clock() - self._left_since > _GRACE_SECONDS

    def _rejoin_members(self) -> None:
        """Begin the next generation with members that lost each other and are all alive.

        A connection broke, or an exchange did not end in time. Ranks that never reach each other
        end the run: as many times in a row, without a step between them, as ranks may be lost.
        """
        self._left_since = None
        step = max(worker.read_position().step for worker in self._members)
        self._separations = 1 if step > self._separation_step else self._separations + 1
        self._separation_step = step
        if self._separations > self._task.max_losses:
            raise RankError(
                f"the ranks lost each other {self._separations} times, though none of them died; "
                "is the network between their hosts well? see their logs above"
            )
        self._report(Progress("the ranks lost each other, and none died: they connect anew"))
        self._regroup(self._members)

    def _has_left(self, worker: Worker) -> bool:
        """Return whether a member waits for the next generation."""
        return worker.read_awaited_generation() == self._generation + 1

    def _regroup(self, survivors: list[Worker]) -> None:
        """Begin the next generation with the survivors and the workers that wait."""
        survivors = self._wait_until_left(survivors)
        self._carried_values = {**self._carried_values, **self._read_newest_carried_values()}
        candidates, size = self._wait_for_enough(survivors)
        previous_size = len(self._members)
        self._form_generation(candidates[:size])
        spare = f", {len(candidates) - size} spare" if len(candidates) > size else ""
        self._report(Progress(f"going on with {size} ranks instead of {previous_size}{spare}"))

    def _wait_until_left(self, survivors: list[Worker]) -> list[Worker]:
        """Wait until all survivors left the generation; kill those that are late.

        Returns:
            those that left it alive.

        Raises:
            HeadraceError: one of them failed with an error of its own.
        """
        deadline = self._clock() + self._task.collective_timeout + _LEAVE_SECONDS
        while not all(self._has_left(w) or w.poll_exit_code() is not None for w in survivors):
            if self._clock() > deadline:
                late = [w for w in survivors if not self._has_left(w)]
                for worker in late:
                    worker.start_kill()
                for worker in late:
                    message = f"{describe_worker(worker)} did not leave its generation; killing it"
                    self._report(Progress(message))
                    worker.kill()
                    self._launcher.start_workers(1)
            self._pause()
        failed = [w for w in survivors if w.poll_exit_code() is not None]
        if any(has_own_error(worker) for worker in failed):
            raise self._find_cause(failed)
        self._lost += failed
        return [w for w in survivors if w not in failed]

    def _wait_for_enough(self, survivors: list[Worker]) -> tuple[list[Worker], int]:
        """Wait until there are enough workers to go on.

        Returns:
            survivors and then other workers that wait, and how many of them can share the work.

        Raises:
            RankError: all survivors died, or no other workers joined in time.
        """
        deadline = self._clock() + self._start_timeout
        while True:
            survivors = [w for w in survivors if w.poll_exit_code() is None]
            others = self._list_others(survivors)
            waiting = [w for w in others if w.read_awaited_generation() is not None]
            candidates = [*survivors, *waiting]
            size = self._choose_size(len(candidates))
            if size and survivors:
                return candidates, size
            if not survivors:
                raise RankError(
                    f"none of the {len(self._members)} ranks is left; all ranks were terminated"
                )
            self._launcher.start_pending()
            self._launcher.raise_if_failed()
            if self._clock() > deadline:
                raise RankError(
                    f"{len(candidates)} ranks are left, too few to go on (train.min_ranks), and no "
                    f"other rank joined within {self._start_timeout:g} seconds"
                )
            self._pause()

    def _read_newest_carried_values(self) -> dict[str, Any]:
        return self._members[0].read_carried_values() if self._members else {}

    def _choose_size(self, available: int) -> int:
        """Return the largest number of ranks that can share the work; 0 if there is none."""
        return max((size for size in self._task.sizes if size <= available), default=0)

    # Failure.

    def _await_other_failures(self) -> None:
        deadline = self._clock() + _GRACE_SECONDS
        while self._clock() < deadline and self._has_running(self._members):
            self._pause()

    def _find_cause(self, dead: Sequence[Worker] = ()) -> HeadraceError:
        dead = dead or [worker for worker in self._members if worker.poll_exit_code()]
        return self._find_failure(dead).build_error()

    def _find_failure(self, dead: Sequence[Worker]) -> Failure:
        return find_first_failure(dead, self._members, self._watchdog.describe_late_ranks)

    def _end_workers(self, grace: float) -> None:
        """Terminate all workers, and kill after `grace` seconds those that still run."""
        workers = self._launcher.list_workers()
        for worker in workers:
            worker.terminate()
        deadline = self._clock() + grace
        while self._clock() < deadline and self._has_running(workers):
            self._pause()
        for worker in workers:  # all of them, before the first is waited for
            worker.start_kill()
        for worker in workers:
            worker.kill()

    @staticmethod
    def _has_running(workers: Sequence[Worker]) -> bool:
        return any(worker.poll_exit_code() is None for worker in workers)
