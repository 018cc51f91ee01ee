"""The commands to go on with are right in the shell that ran the one before."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from headrace.commands import next_commands
from headrace.commands.next_commands import (
    NextCommands,
    build_serve_command,
    describe_repetition,
    format_next,
    name_program,
)
from tests.e2e.running import BIN

STORE = "sqlite:////w/mlflow/mlflow.db"


@pytest.fixture
def activated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of this Python is on PATH."""
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.delenv("HEADRACE_WORKDIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is not, as where `.venv/bin/headrace` is typed."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)


def test_options_of_the_command_are_repeated(activated: None) -> None:
    following = NextCommands("my recipes/r.yaml", "/w", ["train.epochs=3", "name=a b"])
    assert following.build("promote") == (
        "headrace promote 'my recipes/r.yaml' --workdir /w --set train.epochs=3 --set 'name=a b'"
    )
    assert NextCommands("r.yaml", "var").build("train") == "headrace train r.yaml"


def test_a_workdir_of_the_environment_is_not_repeated(
    activated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_WORKDIR", "/w")
    assert NextCommands("r.yaml", "/w").build("train") == "headrace train r.yaml"
    assert NextCommands("r.yaml", "var").build("train") == "headrace train r.yaml --workdir var"


def test_after_an_evaluation_a_model_that_passed_may_be_promoted(activated: None) -> None:
    following = NextCommands("r.yaml", "var")
    passed = following.list_after_evaluation("models:/a/1", STORE, "lake/t", passed=True)
    assert passed == [
        "headrace promote r.yaml",
        "headrace score r.yaml --input lake/t --output var/predictions",
        f"MLFLOW_TRACKING_URI={STORE} mlflow models serve --env-manager local -m models:/a/1",
    ]
    assert following.list_after_evaluation("models:/a/1", STORE, "t", passed=False) == passed[2:]
    assert format_next(passed)[:2] == ["Next", "  headrace promote r.yaml"]
    assert format_next([]) == []


def test_serving_needs_no_address_where_the_environment_has_it(
    activated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert build_serve_command("models:/a/1", "http://mlflow:5000") == (
        "mlflow models serve --env-manager local -m models:/a/1"
    )


def test_programs_that_are_not_on_path_are_named_by_their_own(outside: None) -> None:
    assert name_program("headrace") == f"{BIN}/headrace"
    serve = shlex.split(build_serve_command("models:/a/1", STORE))
    assert serve[0] == f"PATH={BIN}:$PATH"
    assert serve[2] == f"{BIN}/mlflow"


def test_a_program_below_the_working_directory_is_named_as_it_is_typed(
    outside: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/headrace").touch()
    monkeypatch.setattr(next_commands.sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert name_program("headrace") == ".venv/bin/headrace"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["train", "r.yaml", "--set", "name=a b"], "headrace train r.yaml --set 'name=a b'"),
        (["train", "r.yaml", "--resume", "never", "--json"], "headrace train r.yaml --json"),
        (["train", "--resume=never", "r.yaml"], "headrace train r.yaml"),
    ],
)
def test_a_command_line_is_repeated_without_what_it_resumed(
    activated: None, words: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{BIN}/headrace", *words])
    assert describe_repetition() == text
    monkeypatch.setattr(sys, "argv", ["jobs/train.py", *words])
    assert describe_repetition() == "the same command again"


def test_secrets_are_not_repeated(activated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["headrace", "train", "r", "--set", "spark.conf.password=hunter22"]
    )
    assert "hunter22" not in describe_repetition()
