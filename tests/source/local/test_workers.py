"""Tasks run in processes, in order; what goes wrong there is said here."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.errors import LakeError, MachineError
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.workers import Workers


@dataclass(frozen=True)
class Square:
    number: int

    def run(self) -> int:
        return self.number**2


@dataclass(frozen=True)
class Fail:
    error: Exception

    def run(self) -> None:
        raise self.error


@dataclass(frozen=True)
class TellProcess:
    def run(self) -> int:
        return os.getpid()


@dataclass(frozen=True)
class Die:
    def run(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class UseArrow:
    def run(self) -> tuple[bool, str, list[Any]]:
        import pyarrow as pa

        values = pa.array([1.5, None]).to_numpy(zero_copy_only=False)
        has_pandas = "pandas" in sys.modules
        import pandas as pd

        missing = pa.array(values, from_pandas=True).to_pylist()
        return has_pandas, pd.__name__, missing


@dataclass(frozen=True)
class ListThreads:
    def run(self) -> list[str]:
        """The threads of the process that this one was forked from."""
        threads = Path(f"/proc/{os.getppid()}/task").iterdir()
        return sorted((thread / "comm").read_text().strip() for thread in threads)


@dataclass(frozen=True)
class Multiply:
    number: int

    def run(self) -> float:
        import tensorflow as tf

        values = tf.fill([256, 256], float(self.number))
        return float(tf.reduce_sum(tf.linalg.matmul(values, values)).numpy())


class UnsendableError(Exception):
    def __init__(self, one: Any, two: Any) -> None:
        super().__init__("needs two")


@dataclass(frozen=True)
class FailOddly:
    def run(self) -> None:
        raise UnsendableError(1, 2)


@pytest.mark.parametrize("processes", [0, 2])
def test_results_come_in_the_order_of_tasks(processes: int) -> None:
    with Workers(processes) as workers:
        assert workers.run([Square(n) for n in range(20)]) == [n**2 for n in range(20)]
        assert workers.run([]) == []


def test_processes_are_kept_and_ended() -> None:
    with Workers(2) as workers:
        first = {*workers.run([TellProcess()] * 6)}
        assert {*workers.run([TellProcess()] * 6)} | first == first
        assert os.getpid() not in first
    assert not any(psutil.pid_exists(pid) for pid in first)
    with Workers(0) as workers:
        assert workers.run([TellProcess()]) == [os.getpid()]


@pytest.mark.parametrize("error", [LakeError("no rows"), NeedsSparkError("of a cast"), KeyError(1)])
def test_errors_are_raised_here(error: Exception) -> None:
    with Workers(1) as workers, pytest.raises(type(error)) as found:
        workers.run([Square(1), Fail(error), Square(2)])
    assert found.value.args == error.args


def test_an_error_that_cannot_be_sent_is_described() -> None:
    with Workers(1) as workers, pytest.raises(RuntimeError, match="needs two"):
        workers.run([FailOddly()])


def test_a_process_that_dies_is_named() -> None:
    with Workers(2) as workers, pytest.raises(MachineError, match=r"signal 9 .*above_rows"):
        workers.run([Square(1), Die(), Square(2)])


def test_a_task_that_cannot_be_read_there_is_an_error() -> None:
    with Workers(1) as workers, pytest.raises(TypeError, match="missing"):
        workers.run([Fail(UnsendableError(1, 2))])


def test_arrow_needs_no_pandas_there() -> None:
    """Whoever imports it has it all the same."""
    with Workers(1) as workers:
        assert workers.run([UseArrow()]) == [(False, "pandas", [1.5, None])]


def test_processes_end_with_the_one_that_forked_them() -> None:
    with Workers(2) as workers:
        pids = {*workers.run([TellProcess()] * 6)}
        processes = [psutil.Process(pid) for pid in pids]
        (parent,) = {process.ppid() for process in processes}
        os.kill(parent, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(is_alive(process) for process in processes):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(MachineError, match="ended"):
            workers.run([TellProcess()] * 2)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: not one that nobody has asked how it ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_tensorflow_computes_in_processes_that_were_forked_after_its_import() -> None:
    """A fork copies one thread, and locks that others hold for good: there must be no others that
    hold any (tensorflow #8220, #51832: sessions that hang after a fork)."""
    with Workers(3, preload="headrace.score.local.preload") as workers:
        (threads,) = {tuple(found) for found in workers.run([ListThreads()] * 3)}
        assert len([name for name in threads if name != "jemalloc_bg_thd"]) == 1
        numbers = [1, 2, 4, 8] * 3
        assert workers.run([Multiply(n) for n in numbers]) == [256.0**3 * n * n for n in numbers]


@pytest.mark.long
def test_no_fork_hangs() -> None:
    for _ in range(25):
        with Workers(4, preload="headrace.score.local.preload") as workers:
            assert workers.run([Multiply(2)] * 4) == [4 * 256.0**3] * 4
