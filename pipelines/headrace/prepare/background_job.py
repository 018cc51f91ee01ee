"""Run a second Spark job at the same time as another."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_Result = TypeVar("_Result")


def name_jobs(build_id: str) -> str:
    """Return the tag of the jobs of a build."""
    return f"headrace-{build_id}"


class BackgroundJob:
    """A second Spark job at the same time: each fills the cores that the other leaves idle.

    Where the block fails, the second job is cancelled.
    """

    def __init__(self, frame: "DataFrame", build_id: str) -> None:
        self._engine = find_engine(frame.sparkSession)
        self._tag = name_jobs(build_id)
        self._pool = ThreadPoolExecutor(1)

    def start(self, work: "Callable[[], _Result]") -> "Future[_Result]":
        """Start the work, whose jobs are cancelled where the block fails."""

        def run_tagged() -> "_Result":
            self._engine.tag_jobs(self._tag)
            return work()

        return self._pool.submit(run_tagged)

    def __enter__(self) -> "BackgroundJob":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._engine.cancel_jobs(self._tag)
        self._pool.shutdown()
