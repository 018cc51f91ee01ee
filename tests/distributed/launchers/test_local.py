"""Real ranks on this machine: their results, and what happens when one of them dies."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.errors import RankError, StreamError
from headrace.progress import Progress, ignore_progress

pytestmark = pytest.mark.e2e
FUNCTIONS = "tests.distributed.rank_functions"


def run(function: str, ranks: int = 2, **payload: object) -> dict:
    return run_ranks(RankTask(f"{FUNCTIONS}:{function}", payload), ranks, ignore_progress)


@pytest.mark.parametrize("ranks", [1, 3])
def test_collectives_agree_on_every_rank(ranks: int) -> None:
    reports: list[Progress] = []
    result = run_ranks(
        RankTask(f"{FUNCTIONS}:use_collectives", {"word": "é"}), ranks, reports.append
    )
    assert result == {
        "sum": [sum(range(1, ranks + 1)), 2.0 * ranks],
        "broadcast": {"from": 0, "word": "é"},
        "gathered": [r for r in range(ranks) for _ in range(r + 1)],
        "variable": 7.0,
        # no thread preempts another one by waking up: see `rank/scheduling.py`
        "policies": [os.SCHED_BATCH],
    }
    assert reports == [Progress("hello", 1, 2)]


def test_a_headrace_error_keeps_its_class_and_text() -> None:
    with pytest.raises(StreamError, match="rank 1 of 2: file x row group 3 cannot be read"):
        run("fail_with_stream_error")


def test_any_other_error_has_the_traceback_of_the_rank_that_failed_first() -> None:
    with pytest.raises(RankError) as caught:
        run("fail_with_defect")
    text = str(caught.value)
    assert text.startswith("rank 1 of 2 failed with ZeroDivisionError: division by zero")
    assert "in fail_with_defect" in text


def test_all_ranks_end_within_seconds_of_a_kill() -> None:
    started = time.monotonic()
    with pytest.raises(RankError, match="rank 1 of 2 was killed by SIGKILL"):
        run("kill_own_process")
    assert time.monotonic() - started < 40


def test_no_rank_outlives_a_killed_launcher() -> None:
    script = textwrap.dedent(
        f"""
        from headrace.distributed.run_ranks import run_ranks
        from headrace.distributed.task import RankTask
        task = RankTask("{FUNCTIONS}:report_pids_and_wait", {{}})
        run_ranks(task, 2, lambda p: print(p.text, flush=True))
        """
    )
    launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    pids = [int(word) for word in launcher.stdout.readline().split()]
    assert len(pids) == 2
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("stop", r"rank 1 of 2 is stopped \(SIGSTOP\); rank 0 is inside step 4"),
        pytest.param(
            "sleep",
            "rank 1 of 2 did not join the collective; "
            "rank 0 is inside step 4; rank 1 is before step 4",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "skip",
            "rank 1 of 2 did not join the collective; "
            "rank 0 is inside step 10; rank 1 is before step 11",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_rank_that_skips_a_collective_is_named(fault: str, expected: str) -> None:
    """Gloo alone would wait for ever. Starting the ranks counts, and is slow on a busy machine."""
    task = RankTask(f"{FUNCTIONS}:run_steps", {"fault": fault}, step_timeout=20)
    started = time.monotonic()
    with pytest.raises(RankError, match=f"no rank has made progress for 20 seconds.*{expected}"):
        run_ranks(task, 2, ignore_progress)
    assert time.monotonic() - started < 90


@pytest.mark.long
def test_gloo_notices_a_frozen_rank_first_if_its_timeout_is_shorter() -> None:
    task = RankTask(f"{FUNCTIONS}:run_steps", {"fault": "stop"}, collective_timeout=5)
    with pytest.raises(RankError, match=r"rank 0 of 2 lost its peers.*rank 1 of 2 is stopped"):
        run_ranks(task, 2, ignore_progress)


def test_all_ranks_restart_after_one_died(tmp_path: Path) -> None:
    messages: list[str] = []
    task = RankTask(
        f"{FUNCTIONS}:die_once",
        {"folder": str(tmp_path), "resume": "never"},
        max_restarts=2,
        restart_payload={"resume": "auto"},
    )
    assert run_ranks(task, 2, lambda p: messages.append(p.text)) == {"resume": "auto"}
    assert len(messages) == 1
    assert "rank 1 of 2 was killed by SIGKILL" in messages[0]
    assert "; all ranks were terminated; restarting (1 of 2)" in messages[0]


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
