"""Processes of ranks that stay: what a task finds in one, and when another one is started."""

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from headrace.distributed.run_ranks import LauncherSettings, run_ranks
from headrace.distributed.supervise.kept_ranks import KeptRanks, KeptWorker
from headrace.distributed.task import RankTask
from headrace.errors import StreamError
from headrace.progress import Progress, ignore_progress
from tests.distributed.fakes import wait_until

TASK = RankTask("tests.distributed.rank_functions:leave_traces", {"word": "hello"})


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.e2e
def test_tasks_run_one_after_the_other_in_the_same_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports: list[Progress] = []
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # where the functions are

    def run(word: str, **values: Any) -> dict[str, Any]:
        task = dataclasses.replace(TASK, payload={"word": word, **values})
        return run_ranks(task, 2, reports.append, LauncherSettings(kept=kept))

    with KeptRanks(["tests.distributed.rank_functions"]) as kept:
        kept.start(2)
        pids = [kept_process.process.pid for kept_process in kept._processes]
        first, second = run("first"), run("second")
        assert first["pids"] == second["pids"] == pids
        works = {result.pop("work") for result in (first, second)}
        assert len(works) == 2  # each task has a folder of its own
        assert first == second
        assert (first["policy"], first["layer"], first["variable"]) == ("float32", "dense", None)
        # All progress of a task was reported when it had ended.
        assert [progress.text for progress in reports] == ["first", "second"]
        # What fails ends its processes, with the same error as elsewhere.
        with pytest.raises(StreamError, match="row group 3 cannot be read"):
            run("third", fails=True)
        assert not any(map(is_alive, pids))


SCRIPT = """
read_task() { read folder <&$1; }
while read_task "$1"; do
    echo "at work in $folder"
    case $(cat "$folder/task.json") in *fails*) exit 3;; esac
    echo '{"text": "half", "done": 1, "total": 2}' >&$2
    echo >&$2
    : > "$folder/done"
done
"""


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> KeptRanks:
    """Shells in place of Python: $4 are the tasks, $5 is the descriptor for progress."""
    monkeypatch.setattr(
        "headrace.distributed.supervise.kept_ranks.build_python_command",
        lambda *arguments: ["/bin/bash", "-c", SCRIPT, "sh", *arguments[2:4]],
    )
    return KeptRanks([])


def test_a_process_is_taken_again_when_its_task_is_done(kept: KeptRanks, tmp_path: Path) -> None:
    reports: list[Progress] = []
    with kept:
        kept.start(1)
        (process,) = kept._processes
        for number in range(2):
            worker = kept.take(tmp_path / f"{number}", TASK, reports.append)
            assert isinstance(worker, KeptWorker)
            wait_until(lambda worker=worker: worker.poll_exit_code() == 0)
            worker.terminate()
            worker.kill()  # of a task that is done: nothing is left to end
            assert process.process.poll() is None
            assert len(reports) == number + 1
            wait_until(lambda worker=worker, number=number: f"/{number}" in str(worker.log_tail))
    assert process.process.poll() == -signal.SIGKILL


def test_a_process_that_is_at_work_or_gone_is_not_taken(kept: KeptRanks, tmp_path: Path) -> None:
    failing = dataclasses.replace(TASK, payload={"fails": True})
    with kept:
        assert kept.take(tmp_path / "none", TASK, ignore_progress) is None
        kept.start(2)
        first = kept.take(tmp_path / "first", failing, ignore_progress)
        assert first is not None
        wait_until(lambda: first.poll_exit_code() == 3)
        kept._processes[1].process.send_signal(signal.SIGSTOP)
        second = kept.take(tmp_path / "second", TASK, ignore_progress)
        assert second is not None
        assert second.poll_exit_code() is None
        assert kept.take(tmp_path / "third", TASK, ignore_progress) is None
        second.kill()
        assert second.poll_exit_code() == -signal.SIGKILL


@pytest.mark.parametrize(
    "change", [{"threads_per_rank": 2}, {"collective_timeout": 5}, {"environment": {"A": "b"}}]
)
def test_a_task_with_another_environment_has_processes_of_its_own(
    change: dict[str, Any], kept: KeptRanks, tmp_path: Path
) -> None:
    with kept:
        kept.start(1)
        other = dataclasses.replace(TASK, **change)
        assert kept.take(tmp_path / "other", other, ignore_progress) is None
        assert kept.take(tmp_path / "fitting", TASK, ignore_progress) is not None
