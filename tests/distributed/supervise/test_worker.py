"""A rank's process as its supervisor sees it; here a shell that does what a rank would do."""

import json
import signal
from pathlib import Path

import pytest

from headrace.distributed.heartbeat import Position
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import assign_slots
from headrace.distributed.supervise.worker import (
    LocalWorker,
    describe_exit_code,
    describe_worker,
    list_unused_variables,
)
from headrace.distributed.task import RankTask
from headrace.progress import Progress
from tests.distributed.fakes import FakeWorker, wait_until

TASK = RankTask("a:b", {}, collective_timeout=7, threads_per_rank=3, environment={"WORD": "é"})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, "exited with 0"),
        (3, "exited with 3"),
        (-signal.SIGTERM, "was killed by SIGTERM"),
        (-signal.SIGKILL, "was killed by SIGKILL (out of memory? see the kernel log)"),
    ],
)
def test_exit_codes_in_words(code: int, expected: str) -> None:
    assert describe_exit_code(code) == expected


def test_a_worker_is_named_by_its_rank() -> None:
    assert describe_worker(FakeWorker()) == "unassigned rank"
    assert describe_worker(FakeWorker(rank=3)) == "rank 3"


@pytest.fixture
def reports() -> list[Progress]:
    return []


def start(
    folder: Path, script: str, reports: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> LocalWorker:
    """Start a shell in place of Python: $3 is the folder, $4 the descriptor for progress."""
    monkeypatch.setattr(
        "headrace.distributed.supervise.worker.build_python_command",
        lambda *arguments: ["/bin/sh", "-c", script, "sh", *arguments],
    )
    return LocalWorker(folder / "rank", TASK, reports.append, "lo", "h1")


def test_a_process_hands_over_its_output_progress_and_result(
    tmp_path: Path,
    reports: list[Progress],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    progress = Progress("epoch 1", 1, 2).to_json()
    script = f"""
        echo "$2 $WORD $HOROVOD_GLOO_IFACE $HOROVOD_GLOO_TIMEOUT_SECONDS $OMP_NUM_THREADS"
        echo '{progress}' > /dev/fd/$4
        cp "$3/task.json" "$3/result.json"
        exit 3
    """
    worker = start(tmp_path, script, reports, monkeypatch)
    worker._process.wait()
    worker.kill()  # it is gone already: waits for the ends of its pipes
    assert worker.poll_exit_code() == 3
    assert worker.describe_exit() == "exited with 3"
    assert worker.log_tail == ["headrace.distributed.rank.main é lo 7 3"]
    assert "[unassigned rank] headrace.distributed.rank.main" in capfd.readouterr().err
    assert reports == [Progress("epoch 1", 1, 2)]
    assert worker.read_result() == json.loads(TASK.to_json())
    assert worker.read_position() == Position(0, -1, False)
    assert worker.host == "h1"
    assert (worker.read_error(), worker.read_carried_values()) == (None, {})


def test_the_last_40_lines_are_remembered(
    tmp_path: Path, reports: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(tmp_path, "seq 100", reports, monkeypatch)
    worker._process.wait()
    worker.kill()
    assert worker.log_tail == [str(n) for n in range(61, 101)]


def test_a_slot_ends_the_wait(
    tmp_path: Path, reports: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(tmp_path, "exec sleep 60", reports, monkeypatch)
    folder = RankFolder(tmp_path / "rank")
    assert worker.read_awaited_generation() is None
    folder.announce_waiting(1)
    assert worker.read_awaited_generation() == 1
    (slot,) = assign_slots(["h1"], generation=1, address="x", port=1)
    worker.assign_slot(slot)
    assert worker.read_awaited_generation() is None
    assert worker.slot == folder.read_slot(1) == slot
    worker.request_change(1)
    assert folder.read_requested_change() == 1
    worker.kill()


def test_output_that_is_no_text_ends_nothing(
    tmp_path: Path, reports: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(tmp_path, r"printf 'caf\351\n'; echo after", reports, monkeypatch)
    worker._process.wait()
    worker.kill()
    assert worker.log_tail == ["caf\ufffd", "after"]


def test_a_stopped_process_is_told_from_one_that_runs(
    tmp_path: Path, reports: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(tmp_path, "exec sleep 60", reports, monkeypatch)
    assert not worker.is_stopped()
    worker._process.send_signal(signal.SIGSTOP)
    wait_until(worker.is_stopped)
    worker._process.send_signal(signal.SIGCONT)
    wait_until(lambda: not worker.is_stopped())
    worker.kill()


def test_a_process_can_be_terminated_and_killed(
    tmp_path: Path, reports: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell ignores SIGTERM, and answers it."""
    script = "trap 'echo told' TERM; echo ready; while :; do sleep 0.01; done"
    worker = start(tmp_path, script, reports, monkeypatch)
    wait_until(lambda: "ready" in worker.log_tail)
    worker.terminate()
    wait_until(lambda: "told" in worker.log_tail)
    assert worker.poll_exit_code() is None
    worker.kill()
    assert worker.poll_exit_code() == -signal.SIGKILL
    worker.terminate()
    worker.kill()


def test_variables_that_ranks_do_not_work_with_are_named() -> None:
    environment = {"KERAS_BACKEND": "torch", "TF_USE_LEGACY_KERAS": "1", "PATH": "/bin"}
    assert list_unused_variables(environment) == ["KERAS_BACKEND=torch", "TF_USE_LEGACY_KERAS=1"]
    assert list_unused_variables({"KERAS_BACKEND": "tensorflow"}) == []
