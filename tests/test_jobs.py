"""The scripts that spark-submit runs: each is one command."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from headrace import commands

JOBS = Path(__file__).parents[1] / "jobs"


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("prepare", commands.prepare),
        ("train", commands.train),
        ("evaluate", commands.evaluate),
        ("score", commands.score),
        ("pipeline", commands.run),
    ],
)
def test_a_script_runs_its_command(
    script: str, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(commands, "run_job", started.append)
    runpy.run_path(str(JOBS / f"{script}.py"), run_name="__main__")
    assert started == [command]


def test_every_script_is_tested_here() -> None:
    scripts = {path.stem for path in JOBS.glob("*.py")} - {"__init__"}
    assert scripts == {"prepare", "train", "evaluate", "score", "pipeline"}


def test_a_script_has_the_options_of_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "--help"])
    with pytest.raises(SystemExit) as exit_:
        commands.run_job(commands.train)
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "Usage: train.py [OPTIONS] {RECIPE}" in out
    assert "--dataset-version" in out
