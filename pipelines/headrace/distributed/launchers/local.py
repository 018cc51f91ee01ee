"""Local ranks: processes of this machine that meet on loopback."""

from collections.abc import Sequence
from pathlib import Path

from headrace.distributed.supervise.worker import LocalWorker, Worker
from headrace.distributed.task import RankTask
from headrace.progress import Report


class LocalSource:
    """Starts as many ranks here as are asked for; see `supervisor.Source`."""

    address = "127.0.0.1"

    def __init__(self, folder: Path, task: RankTask, report: Report) -> None:
        """
        Args:
            folder: for the ranks' own.
            task: what they run.
            report: told of their progress.
        """
        self._folder, self._task, self._report = folder, task, report
        self._workers: list[Worker] = []

    def workers(self) -> Sequence[Worker]:
        return self._workers

    def start(self, count: int) -> None:
        for _ in range(count):
            path = self._folder / f"rank-{len(self._workers)}"
            self._workers.append(LocalWorker(path, self._task, self._report, "lo"))

    def tend(self) -> None:
        pass

    def check(self) -> None:
        pass
