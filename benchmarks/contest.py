"""Run rounds of jobs, each in a fresh process, so that JVM warm-up and memory are alike for all.

The order is reversed every round (ABCD, DCBA, ...). `run_one.py` measures inside the process; this
module samples its memory, its JVM and Python workers included.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

_ROOT = Path(__file__).parent.parent
_SAMPLE_SECONDS = 0.5
_TAIL_LINES = 25


@dataclass(frozen=True)
class Job:
    """The work of one contender.

    Attributes:
        contender: a name of `run_one.CONTENDERS`.
        lake: folder of the lake.
        out: folder of the dataset; removed before and after.
        scratch: folder of logs and shuffle files; removed before, and after a success.
        extra: categorical columns beside c1..c26; Headrace only.
    """

    contender: str
    lake: str
    out: str
    scratch: str
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """The time and memory of one process.

    Attributes:
        seconds: the job, from a started and warmed session to its end.
        session_seconds: the start of Spark before the job; 0 without Spark.
        cpu_seconds: CPU time of all its processes during the job.
        stages: seconds of each of the contender's own stages; empty for rivals.
        files: absolute paths of the data files of each split.
        driver_python_peak_mib: peak resident memory of the Python process.
        driver_heap_after_gc_mib: heap in use in the driver's JVM after the job and a collection.
        jvm_peak_mib: peak resident memory of the JVM.
        tree_peak_mib: peak of the sum over all processes; shared pages count once per process.
    """

    seconds: float
    session_seconds: float
    cpu_seconds: float
    stages: dict[str, float]
    files: dict[str, list[str]]
    driver_python_peak_mib: float
    driver_heap_after_gc_mib: float | None
    jvm_peak_mib: float
    tree_peak_mib: float

    def collect_figures(self) -> dict[str, Any]:
        """Collect the figures for JSON: all but the files, which have been removed by then."""
        return {key: value for key, value in asdict(self).items() if key != "files"}


class ContenderError(Exception):
    """A contender that failed, with the end of its output."""


def run_rounds(
    jobs: Mapping[str, Job],
    rounds: int,
    *,
    echo: Callable[[str], None],
    inspect: Callable[[str, Run], None] | None = None,
) -> list[dict[str, Run]]:
    """Run every job once per round.

    Args:
        jobs: label -> job; in this order in the first round, in reverse in the next.
        rounds: number of rounds.
        echo: receives a line per run.
        inspect: receives every run of the first round while its files still exist.

    Returns:
        for each round a mapping from label to run.

    Raises:
        ContenderError: a job failed.
    """
    rounds_of_runs: list[dict[str, Run]] = []
    for number in range(rounds):
        order = order_labels(list(jobs), number)
        runs: dict[str, Run] = {}
        for label in order:
            runs[label] = run = run_job(label, jobs[label])
            echo(
                f"round {number + 1}/{rounds}  {label:<16} {run.seconds:9.2f} s"
                f"   {run.cpu_seconds:9.2f} s of CPU   {run.tree_peak_mib:8,.0f} MiB at most"
            )
            if inspect and number == 0:
                inspect(label, run)
            shutil.rmtree(jobs[label].out, ignore_errors=True)
        rounds_of_runs.append({label: runs[label] for label in jobs})
    return rounds_of_runs


def order_labels(labels: Sequence[str], number: int) -> list[str]:
    """Order the jobs of a round: as given in round 0, reversed in round 1, and so on."""
    return list(labels) if number % 2 == 0 else list(reversed(labels))


def run_job(label: str, job: Job) -> Run:
    """Run one job in a process of its own and wait for it.

    Raises:
        ContenderError: it failed.
    """
    for folder in (job.out, job.scratch):
        shutil.rmtree(folder, ignore_errors=True)
    scratch = Path(job.scratch)
    scratch.mkdir(parents=True)
    result, log = scratch / "result.json", scratch / "output.txt"
    os.sync()  # earlier writes are not flushed at this job's cost
    command = [sys.executable, "-m", "benchmarks.run_one", json.dumps(asdict(job)), str(result)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=_ROOT, stdout=output, stderr=output)
        try:
            jvm_peak, tree_peak = _watch_memory(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode or not result.exists():
        raise ContenderError(
            f"{label} failed with exit status {process.returncode}; its output is in {log}, "
            f"which ends with:\n{_read_tail(log)}"
        )
    measured = json.loads(result.read_text(encoding="utf-8"))
    run = Run(**measured, jvm_peak_mib=jvm_peak, tree_peak_mib=tree_peak)
    shutil.rmtree(scratch, ignore_errors=True)
    return run


def _watch_memory(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """Sample resident memory until the process ends; return peaks of the JVM and of all, in MiB."""
    tree_peak = jvm_peak = 0
    while True:
        tree = jvm = 0
        for member in _list_processes(process.pid):
            try:
                resident, name = member.memory_info().rss, member.name()
            except psutil.Error:
                continue
            tree += resident
            jvm += resident if name == "java" else 0
        tree_peak, jvm_peak = max(tree_peak, tree), max(jvm_peak, jvm)
        try:
            process.wait(timeout=_SAMPLE_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue
    return round(jvm_peak / 2**20, 1), round(tree_peak / 2**20, 1)


def _list_processes(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _read_tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])
