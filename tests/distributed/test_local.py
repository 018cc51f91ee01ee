"""Real ranks on this machine: what they give back, and what happens when one of them dies."""

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
from headrace.progress import Progress, silent

pytestmark = pytest.mark.e2e
HERE = "tests.distributed.rank_functions"


def run(function: str, ranks: int = 2, **payload: object) -> dict:
    return run_ranks(RankTask(f"{HERE}:{function}", payload), ranks, silent)


@pytest.mark.parametrize("ranks", [1, 3])
def test_collectives_agree_on_every_rank(ranks: int) -> None:
    seen: list[Progress] = []
    result = run_ranks(RankTask(f"{HERE}:collect", {"word": "é"}), ranks, seen.append)
    assert result == {
        "sum": [sum(range(1, ranks + 1)), 2.0 * ranks],
        "broadcast": {"from": 0, "word": "é"},
        "gathered": [r for r in range(ranks) for _ in range(r + 1)],
        "variable": 7.0,
        # no thread preempts another one by waking up: see `latency.py`
        "policies": [os.SCHED_BATCH],
    }
    assert seen == [Progress("hello", 1, 2)]


def test_an_error_of_ours_comes_back_in_its_own_words() -> None:
    with pytest.raises(StreamError, match="rank 1 of 2: file x row group 3 cannot be read"):
        run("fail_with_stream_error")


def test_any_other_error_comes_with_the_traceback_of_the_rank_that_failed_first() -> None:
    with pytest.raises(RankError) as caught:
        run("fail_with_defect")
    text = str(caught.value)
    assert text.startswith("rank 1 of 2 failed with ZeroDivisionError: division by zero")
    assert "in fail_with_defect" in text


def test_a_killed_rank_ends_all_within_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(RankError, match="rank 1 of 2 was killed by SIGKILL"):
        run("kill_yourself")
    assert time.monotonic() - began < 40


def test_no_rank_outlives_a_killed_launcher() -> None:
    script = textwrap.dedent(
        f"""
        from headrace.distributed.run_ranks import run_ranks
        from headrace.distributed.task import RankTask
        run_ranks(RankTask("{HERE}:tell_and_wait", {{}}), 2, lambda p: print(p.text, flush=True))
        """
    )
    launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    pids = [int(word) for word in launcher.stdout.readline().split()]
    assert len(pids) == 2
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("stop", r"rank 1 of 2 is stopped \(SIGSTOP\); rank 0 is inside step 4"),
        pytest.param(
            "sleep",
            "rank 1 of 2 does not come; rank 0 is inside step 4; rank 1 is before step 4",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "skip",
            "rank 1 of 2 does not come; rank 0 is inside step 10; rank 1 is before step 11",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_rank_that_does_not_come_is_named(what: str, says: str) -> None:
    """Under Gloo nobody else would say so. To start takes long on a busy machine, and counts."""
    task = RankTask(f"{HERE}:march", {"what": what}, step_timeout=20)
    began = time.monotonic()
    with pytest.raises(RankError, match=f"no rank has moved for 20 seconds.*{says}"):
        run_ranks(task, 2, silent)
    assert time.monotonic() - began < 90


@pytest.mark.long
def test_gloo_notices_a_frozen_rank_first_where_it_is_quicker() -> None:
    task = RankTask(f"{HERE}:march", {"what": "stop"}, collective_timeout=5)
    with pytest.raises(RankError, match=r"rank 0 of 2 lost its peers.*rank 1 of 2 is stopped"):
        run_ranks(task, 2, silent)


def test_ranks_are_started_again_as_often_as_asked_for(tmp_path: Path) -> None:
    seen: list[str] = []
    task = RankTask(
        f"{HERE}:die_at_first",
        {"folder": str(tmp_path), "resume": "never"},
        max_restarts=2,
        restart_payload={"resume": "auto"},
    )
    assert run_ranks(task, 2, lambda p: seen.append(p.text)) == {"resume": "auto"}
    assert len(seen) == 1
    assert "rank 1 of 2 was killed by SIGKILL" in seen[0]
    assert "Starting again (1 of 2)" in seen[0]


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_importing_the_launcher_loads_no_engine() -> None:
    code = (
        "import headrace.distributed.run_ranks, sys;"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
