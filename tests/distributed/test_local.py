"""Real ranks on this machine: what they give back, and what happens when one of them dies."""

import os
import subprocess
import sys
import textwrap
import time

import pytest

from pipelines.distributed.launch import run_ranks
from pipelines.distributed.task import RankTask
from pipelines.errors import RankError, StreamError
from pipelines.progress import Progress, silent

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
        from pipelines.distributed.launch import run_ranks
        from pipelines.distributed.task import RankTask
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


def test_a_step_on_two_ranks_is_the_step_on_one() -> None:
    """Same global batch, with weights and padding, momentum and L2: weights within 1e-6."""
    one, two = (run("one_step", ranks=ranks)["weights"] for ranks in (1, 2))
    assert len(one) == len(two) > 50
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-6
    untrained = run("one_step", ranks=1, steps=0)["weights"]
    assert max(abs(a - b) for a, b in zip(one, untrained, strict=True)) > 1e-3


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_importing_the_launcher_loads_no_engine() -> None:
    code = (
        "import pipelines.distributed.launch, sys;"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
