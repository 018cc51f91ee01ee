"""The frame of a command: one result, the exit code that follows from it, and observers."""

import json
from pathlib import Path

import pytest
import typer

from headrace.commands.frame import open_command
from headrace.commands.observers.prometheus import Prometheus
from headrace.errors import LakeError, RecipeError
from tests.commands.stage_outcomes import write_recipe
from tests.tiny import tiny_tree


def test_a_result_without_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with open_command("lake digits", as_json=True) as command:
        command.report_result({"rows": 3})
    assert capsys.readouterr().out == '{"command": "lake digits", "ok": true, "rows": 3}\n'


def test_a_result_with_an_exit_code_ends_the_process_after_the_body(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = False
    with pytest.raises(typer.Exit) as exit_, open_command("evaluate", as_json=True) as command:
        command.report_result({"verdict": {"passed": False}}, exit_code=3)
        done = True
    assert done
    assert exit_.value.exit_code == 3
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "command": "evaluate",
        "ok": False,
        "exit_code": 3,
        "verdict": {"passed": False},
    }
    assert err == ""  # a gate that failed is a result, and not an error


def test_a_body_that_fails_has_an_error_as_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as exit_, open_command("prepare", as_json=True):
        raise LakeError("no such table")
    assert exit_.value.exit_code == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == {"type": "LakeError", "message": "no such table"}
    assert err == "headrace prepare: no such table\n"


def test_a_body_may_return_without_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    def follow() -> None:
        with open_command("train", as_json=True):
            return

    follow()
    assert capsys.readouterr() == ("", "")


def test_observers_follow_the_recipe_that_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADRACE_METRICS_FOLDER", str(tmp_path / "metrics"))
    with open_command("prepare", as_json=False) as command:
        assert command.console.observers == ()
        recipe = command.open_recipe(write_recipe(tmp_path), str(tmp_path), ["train.epochs=7"])
        assert recipe.train.epochs == 7
        (observer,) = command.console.observers
        assert isinstance(observer, Prometheus)


def test_a_bad_recipe_opens_no_observers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADRACE_METRICS_FOLDER", str(tmp_path / "metrics"))
    path = write_recipe(tmp_path, {**tiny_tree(), "nope": 1})
    with pytest.raises(typer.Exit) as exit_, open_command("prepare", as_json=False) as command:
        try:
            command.open_recipe(path, str(tmp_path), None)
        except RecipeError:
            assert command.console.observers == ()
            raise
    assert exit_.value.exit_code == 2
