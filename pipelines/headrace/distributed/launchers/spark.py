"""Start ranks on Spark executors: one task per rank, and in it an agent that starts the process.

The tasks are an ordinary job, not a barrier stage: a barrier stage fails as a whole with one of its
tasks, and here a lost one may be replaced. The supervisor waits until all ranks have joined. An
executor needs this package installed, in an archive, or from `--py-files`; the rank's process gets
the search path of the task.
"""

import os
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from headrace.distributed.supervise.agent import AgentConnection, run_agent
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.task import RankTask
from headrace.errors import MachineError, RankError
from headrace.progress import Report
from headrace.recipe.sections import Spark
from headrace.spark_engine.remote import find_remote
from headrace.spark_session import spark_session, stop_own_session


class SparkLauncher(ControlServer):
    """A launcher that starts a Spark job whose tasks are agents; see `supervisor.Launcher`."""

    def __init__(
        self, settings: Spark, scratch: str, secret: str, task: RankTask, report: Report
    ) -> None:
        """
        Args:
            settings: the recipe's, for a new session if none is running.
            scratch: local folder for that session.
            secret: of this run.
            task, report: see `control_server.ControlServer`.
        """
        if remote := find_remote(settings.remote):
            raise MachineError(
                f"train.launcher.kind spark needs a SparkContext, and {remote.named_by} names the "
                f"Spark Connect server {remote.address}, which has none; set train.launcher.kind "
                f"to local or hosts, or train by spark-submit without {remote.named_by}"
            )
        self._session = spark_session(settings, app_name="headrace train", scratch=scratch)
        self._context = self._session.sparkContext
        super().__init__(
            str(self._context.getConf().get("spark.driver.host")), 0, secret, task, report
        )
        self._group = f"headrace-{uuid.uuid4().hex}"  # not the secret: Spark's UI shows it
        self._job: threading.Thread | None = None
        self._failure = ""

    def start_workers(self, count: int) -> None:
        """Start the job at the first call; afterwards Spark retries failed tasks by itself."""
        if self._job is None:
            max_workers = max([count, *self._task.sizes])
            self._job = threading.Thread(target=self._run_job, args=(max_workers,), daemon=True)
            self._job.start()

    def raise_if_failed(self) -> None:
        if self._failure:
            raise RankError(f"the Spark job of the ranks failed: {self._failure}")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        self._context.cancelJobGroup(self._group)
        if self._job:
            self._job.join(timeout=10)
        stop_own_session()

    def _run_job(self, count: int) -> None:
        context = self._context
        run_task = _build_task(self.address, self.port, self.secret)
        try:
            context.setJobGroup(self._group, "headrace ranks", interruptOnCancel=True)
            context.parallelize(range(count), count).mapPartitionsWithIndex(run_task).count()
        except Exception as error:
            self._failure = _summarize_error(error)


def _build_task(address: str, port: int, secret: str) -> Any:
    from pyspark import TaskContext

    def run_task(index: int, _: Iterator[int]) -> Iterator[int]:
        # The rank's process imports its packages from where this one does, --py-files included.
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        context = TaskContext.get()
        gpus = context.resources().get("gpu") if context else None
        if gpus:  # assigned by Spark; otherwise the ranks of a host share its GPUs
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.addresses)
        run_agent(AgentConnection(address, port, secret, index))  # the driver knows why it failed
        return iter([index])

    return run_task


def _summarize_error(error: Exception) -> str:
    """Return the line that names the error of a failed task, without the JVM's stack."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    error_lines = [line for line in lines if "Error" in line or "Exception" in line]
    return (error_lines or lines or [type(error).__name__])[0].strip()[:500]
