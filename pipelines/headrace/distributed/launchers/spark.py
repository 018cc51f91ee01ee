"""Ranks on Spark executors: one task a rank, and in the task an agent that starts its process.

The tasks are an ordinary job, not a barrier stage: a barrier fails as a whole with one of its
tasks, and here a lost one may be replaced. That all are there before they begin is the supervisor's
business. An executor needs this package, as an installed one, in an archive or by `--py-files`; the
rank's process gets the search path of the task.
"""

import os
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from headrace.distributed.supervise.agent import BoardAddress, run_agent
from headrace.distributed.supervise.control_server import Board
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import Report
from headrace.recipe.sections import Spark
from headrace.spark_session import spark_session, stop_own_session


class SparkSource(Board):
    """Starts a Spark job whose tasks are agents; see `supervisor.Source`."""

    def __init__(
        self, settings: Spark, scratch: str, secret: str, task: RankTask, report: Report
    ) -> None:
        """
        Args:
            settings: the recipe's, for a session where there is none.
            scratch: local folder for it.
            secret: of this run.
            task, report: see `board.Board`.
        """
        self._session = spark_session(settings, app_name="headrace train", scratch=scratch)
        self._context = self._session.sparkContext
        super().__init__(
            str(self._context.getConf().get("spark.driver.host")), 0, secret, task, report
        )
        self._group = f"headrace-{uuid.uuid4().hex}"  # everybody sees it
        self._job: threading.Thread | None = None
        self._why = ""

    def start(self, count: int) -> None:
        """The first time; Spark runs failed tasks again by itself."""
        if self._job is None:
            most = max([count, *self._task.sizes])
            self._job = threading.Thread(target=self._run, args=(most,), daemon=True)
            self._job.start()

    def check(self) -> None:
        if self._why:
            raise RankError(f"the Spark job of the ranks failed: {self._why}")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        self._context.cancelJobGroup(self._group)
        if self._job:
            self._job.join(timeout=10)
        stop_own_session()

    def _run(self, count: int) -> None:
        context, board = self._context, (self.address, self.port, self.secret)
        try:
            context.setJobGroup(self._group, "headrace ranks", interruptOnCancel=True)
            context.parallelize(range(count), count).mapPartitionsWithIndex(
                _task_of(*board)
            ).count()
        except Exception as error:
            self._why = _first_words(error)


def _task_of(address: str, port: int, secret: str) -> Any:
    from pyspark import TaskContext

    def task(index: int, _: Iterator[int]) -> Iterator[int]:
        # The rank's process finds its packages where this one does, --py-files included.
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        context = TaskContext.get()
        gpus = context.resources().get("gpu") if context else None
        if gpus:  # Spark hands them out; without, ranks of a host share what there is
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.addresses)
        run_agent(BoardAddress(address, port, secret, index))  # why it failed, the driver knows
        return iter([index])

    return task


def _first_words(error: Exception) -> str:
    """What Spark says of a failed task, without the JVM's stack."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Error" in line or "Exception" in line]
    return (told or lines or [type(error).__name__])[0].strip()[:500]
