"""Start ranks as processes of this machine that meet on the loopback interface."""

from collections.abc import Sequence
from pathlib import Path

from headrace.distributed.supervise.kept_ranks import KeptRanks
from headrace.distributed.supervise.worker import LocalWorker, Worker
from headrace.distributed.task import RankTask
from headrace.progress import Report


class LocalLauncher:
    """A launcher that starts every rank here at once; see `supervisor.Launcher`."""

    address = "127.0.0.1"

    def __init__(
        self, folder: Path, task: RankTask, report: Report, kept: KeptRanks | None = None
    ) -> None:
        """
        Args:
            folder: parent of the ranks' own folders.
            task: what they run.
            report: receives rank 0's progress.
            kept: processes that are there already.
        """
        self._kept = kept
        self._folder, self._task, self._report = folder, task, report
        self._workers: list[Worker] = []

    def list_workers(self) -> Sequence[Worker]:
        return self._workers

    def start_workers(self, count: int) -> None:
        for _ in range(count):
            path = self._folder / f"rank-{len(self._workers)}"
            worker = self._kept.take(path, self._task, self._report) if self._kept else None
            self._workers.append(worker or LocalWorker(path, self._task, self._report, "lo"))

    def start_pending(self) -> None:
        pass

    def raise_if_failed(self) -> None:
        pass
