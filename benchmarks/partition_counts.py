"""Count what source partitions cost in the driver: folders, files, Spark's work, calls to the JVM.

    python -m benchmarks.growth --figures partition_counts

A lake of some thousand rows is prepared in this process, and then one more folder of it. Unlike the
seconds of `partitions`, counts are the same on any machine.
"""

import atexit
import contextlib
import functools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.growth_lakes import make_partition_recipe, write_partition

_ROWS = 2_048


def measure_partition_counts(partitions: int) -> dict[str, float]:
    """Prepare 2,048 rows in so many folders of a file each, and then one more folder.

    Returns:
        of the first build and, as `night_…`, of the second: `listed`, folders that the driver
        listed, and `opened`, files of lake and dataset that it opened by Python; `jvm_calls` to
        Spark; `jobs` and `tasks` of Spark. `record_bytes`: the record of the source partitions in
        the driver.
    """
    from headrace.recipe import build_recipe

    with tempfile.TemporaryDirectory(prefix="headrace-partitions-") as folder:
        root = Path(folder)
        for number, own in enumerate(np.array_split(np.arange(_ROWS), partitions)):
            write_partition(root, number, own)
        recipe = build_recipe(make_partition_recipe(root), source="partitions", environment={})
        prepared, first = _prepare_counted(recipe, root)
        if len(prepared.dataset.build.partitions) != partitions:
            raise RuntimeError("the record lacks source partitions")
        record = sum(len(p.model_dump_json()) for p in prepared.dataset.build.partitions)
        write_partition(root, partitions, np.arange(_ROWS, _ROWS + _ROWS // partitions))
        _, night = _prepare_counted(recipe, root)
    costs = {**first.to_costs(), "record_bytes": record}
    return costs | {f"night_{name}": value for name, value in night.to_costs().items()}


@dataclass
class _Counts:
    """What was counted in a block."""

    listed: int = 0
    opened: int = 0
    jvm_calls: int = 0
    jobs: int = 0
    tasks: int = 0
    root: str = field(default="", repr=False)

    def to_costs(self) -> dict[str, float]:
        names = ("listed", "opened", "jvm_calls", "jobs", "tasks")
        return {name: getattr(self, name) for name in names}


_counting: list[_Counts] = []
"""Who counts now: an audit hook stays for as long as the process does."""


def _prepare_counted(recipe: Any, root: Path) -> tuple[Any, _Counts]:
    from headrace.prepare import prepare
    from headrace.progress import ignore_progress

    with _count_work(root) as counts:
        prepared = prepare(recipe, workdir=str(root / "work"), report=ignore_progress)
    if not prepared.published:
        raise RuntimeError("the build found nothing to do")
    return prepared, counts


@contextlib.contextmanager
def _count_work(root: Path) -> Iterator[_Counts]:
    """Count in the block: what is listed and opened below a folder, and what Spark is told."""
    import py4j.clientserver

    context = _start_spark().sparkContext._jsc.sc()

    def read_counters() -> tuple[int, int]:
        return context.dagScheduler().numTotalJobs(), context.taskScheduler().nextTaskId()

    jobs, tasks = read_counters()
    counts = _Counts(root=str(root))
    send_command = py4j.clientserver.JavaClient.send_command

    def count_and_send(*arguments: Any, **options: Any) -> Any:
        counts.jvm_calls += 1
        return send_command(*arguments, **options)

    _watch_files()
    _counting.append(counts)
    py4j.clientserver.JavaClient.send_command = count_and_send
    try:
        yield counts
    finally:
        py4j.clientserver.JavaClient.send_command = send_command
        _counting.remove(counts)
    all_jobs, all_tasks = read_counters()
    counts.jobs, counts.tasks = all_jobs - jobs, all_tasks - tasks


@functools.cache
def _start_spark() -> Any:
    """Return the session of this process, whose folder has to stay for as long as it does."""
    from pyspark.sql import SparkSession

    from headrace.recipe.sections import Spark
    from headrace.spark_session import spark_session

    scratch = tempfile.mkdtemp(prefix="headrace-partitions-spark-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    running = SparkSession.getActiveSession()
    return running or spark_session(
        Spark(master="local[2]"), app_name="partitions", scratch=scratch
    )


@functools.cache
def _watch_files() -> None:
    sys.addaudithook(_note_event)


def _note_event(event: str, arguments: tuple[Any, ...]) -> None:
    if not _counting or event not in ("open", "os.scandir", "os.listdir"):
        return
    path = str(arguments[0])
    for counts in _counting:
        if path.startswith(counts.root):
            if event == "open":
                counts.opened += 1
            else:
                counts.listed += 1
