"""Which launcher a recipe means, and how often the ranks are started again."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.distributed import run_ranks as run_ranks_module
from headrace.distributed.run_ranks import LauncherSettings, resolve_launcher, run_ranks
from headrace.distributed.task import RankTask
from headrace.errors import MachineError, RankError, StreamError
from headrace.progress import Progress, Report
from tests.tiny import tiny_recipe

TASK = RankTask("a:b", {"resume": "never"}, max_restarts=2, restart_payload={"resume": "auto"})


@pytest.fixture(autouse=True)
def started_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)


class Attempts:
    """Attempts to run a task, of which each ends as listed."""

    def __init__(self, *outcomes: dict[str, Any] | Exception) -> None:
        self.outcomes, self.payloads = list(outcomes), []
        self.messages: list[str] = []

    def run_once(
        self,
        task: RankTask,
        ranks: int,
        report: Report,
        settings: LauncherSettings,
        should_stop: Callable[[], bool],
    ) -> dict[str, Any]:
        self.payloads.append(task.payload["resume"])
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        def report(progress: Progress) -> None:
            self.messages.append(progress.text)

        monkeypatch.setattr(run_ranks_module, "_run_once", self.run_once)
        return run_ranks(TASK, 2, report)


def test_a_run_that_succeeds_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts({"loss": 1})
    assert attempts.run(monkeypatch) == {"loss": 1}
    assert (attempts.payloads, attempts.messages) == (["never"], [])


def test_ranks_are_started_again_with_the_payload_of_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = Attempts(RankError("rank 1 died.\nTraceback"), RankError("rank 0 died."), {"a": 1})
    assert attempts.run(monkeypatch) == {"a": 1}
    assert attempts.payloads == ["never", "auto", "auto"]
    assert attempts.messages == [
        "rank 1 died; restarting (1 of 2)",
        "rank 0 died; restarting (2 of 2)",
    ]


def test_an_exchange_that_tensorflow_refused_costs_no_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = RankError(
        "rank 0 of 2 failed with PeerLossError: rank 0 of 2 lost a peer: The same RunGraph "
        "(Worker) request was received twice. goo.gle/debugonly"
    )
    died = RankError("rank 1 died.")
    attempts = Attempts(refused, died, refused, died, refused, {"a": 1})
    assert attempts.run(monkeypatch) == {"a": 1}
    assert attempts.payloads == ["never", *["auto"] * 5]
    assert [m.partition(";")[0] for m in attempts.messages[:2]] == [
        "TensorFlow took an exchange of the ranks for one that it had seen before, and refused it",
        "rank 1 died",
    ]
    for_ever = Attempts(*[refused] * 200)
    with pytest.raises(RankError, match="received twice"):
        for_ever.run(monkeypatch)


def test_the_last_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(*(RankError(f"death {n}") for n in range(1, 4)))
    with pytest.raises(RankError, match="death 3"):
        attempts.run(monkeypatch)
    assert len(attempts.payloads) == 3


def test_an_error_that_would_come_again_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(StreamError("row group 3 cannot be read"))
    with pytest.raises(StreamError):
        attempts.run(monkeypatch)
    assert attempts.messages == []


def test_auto_is_local_unless_an_external_launcher_started_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(tmp_path)
    assert recipe.train.launcher.kind == "auto"
    assert resolve_launcher(recipe, "w").kind == "local"
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "n0")
    assert resolve_launcher(recipe, "w").kind == "launched"
    local = tiny_recipe(tmp_path, "train.launcher.kind=local")
    assert resolve_launcher(local, "w").kind == "local"
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(MachineError, match="MASTER_ADDR"):
        resolve_launcher(recipe, "w")


def test_the_settings_of_a_recipe_are_handed_on(tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tmp_path,
        "train.launcher.kind=hosts",
        'train.launcher.hosts=["h1:2", "h2"]',
        "train.launcher.address=10.0.0.1",
        "train.launcher.start_timeout=30",
        'train.launcher.remote_shell=["ssh", "-q"]',
    )
    settings = resolve_launcher(recipe, "w")
    assert settings == LauncherSettings(
        kind="hosts",
        hosts=("h1:2", "h2"),
        address="10.0.0.1",
        start_timeout=30,
        remote_shell=("ssh", "-q"),
        spark=recipe.spark,
        scratch="w/spark",
    )


@pytest.mark.e2e
def test_importing_the_launcher_loads_no_engine() -> None:
    code = (
        "import headrace.distributed.run_ranks, sys;"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
