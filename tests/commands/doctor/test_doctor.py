"""The doctor command: which checks it runs, what it prints, and its exit code."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.commands.doctor import list_checks
from headrace.commands.doctor.finding import Finding, report_failure, report_ok, report_warning
from tests.commands.stage_outcomes import run_command, write_recipe
from tests.tiny import tiny_recipe, tiny_tree

# `headrace.commands.doctor` is the command: the package exports it under the module's name.
doctor_module = importlib.import_module("headrace.commands.doctor")


@pytest.fixture
def replace_checks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace all checks by one per list of findings."""

    def replace(*checks: list[Finding]) -> None:
        functions = [lambda findings=findings: findings for findings in checks]
        monkeypatch.setattr(doctor_module, "list_checks", lambda recipe, workdir: functions)

    return replace


def test_a_warning_does_not_fail(replace_checks: Callable[..., None]) -> None:
    replace_checks([report_ok("java", "17")], [report_warning("clock", "60 s after", "set it")])
    done = run_command("doctor")
    assert done.code == 0
    assert done.out.splitlines() == [
        "ok    java: 17",
        "warn  clock: 60 s after",
        "      set it",
        "2 checks, 0 failed, 1 warnings",
    ]
    assert run_command("doctor", "--json").result == {
        "command": "doctor",
        "ok": True,
        "findings": [
            {"name": "java", "state": "ok", "what": "17", "fix": ""},
            {"name": "clock", "state": "warn", "what": "60 s after", "fix": "set it"},
        ],
    }


def test_a_failure_is_exit_code_1(replace_checks: Callable[..., None]) -> None:
    replace_checks([report_ok("java", "17"), report_failure("gpus", "none", "check the driver")])
    done = run_command("doctor", "--json")
    assert done.code == 1
    assert (done.result["ok"], done.result["exit_code"]) == (False, 1)
    assert "2 checks, 1 failed, 0 warnings" in done.err


def test_a_bad_recipe_is_exit_code_2_before_any_check(
    replace_checks: Callable[..., None], tmp_path: Path
) -> None:
    replace_checks([report_ok("java", "17")])
    done = run_command("doctor", write_recipe(tmp_path, {**tiny_tree(), "nope": 1}))
    assert done.code == 2
    assert "java" not in done.out


def test_a_recipe_adds_checks_of_what_it_needs(tmp_path: Path) -> None:
    assert len(list_checks(tiny_recipe(tmp_path), "w")) == len(list_checks(None, "w")) + 4
