"""Exit codes and messages of commands that fail."""

import json
import os
import signal

import pytest
import typer

from headrace.commands.console import Console
from headrace.commands.exit_codes import choose_exit_code, note_interruption, report_failures
from headrace.errors import (
    GateError,
    HeadraceError,
    LakeError,
    PreemptedError,
    Problem,
    RecipeError,
)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (LakeError("s3://key:secret@host/x is gone"), 1, "s3://***@host/x is gone"),
        (RecipeError("a.yaml", [Problem("train", "is empty")]), 2, "1 problem in recipe a.yaml"),
        (GateError("a gate failed"), 3, "a gate failed"),
        (PreemptedError("preempted"), 143, "preempted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division by zero"), 1, "this is a defect of Headrace"),
    ],
)
def test_failures(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(as_json=True)
    with pytest.raises(typer.Exit) as exit_, report_failures(console, "run"):
        raise error
    assert exit_.value.exit_code == code
    out, err = capsys.readouterr()
    assert text in err
    assert ("Traceback" in err) == (not isinstance(error, (HeadraceError, KeyboardInterrupt)))
    result = json.loads(out)
    assert err.endswith(f"headrace run: {result['error']['message']}\n")
    assert result == {
        "command": "run",
        "ok": False,
        "exit_code": code,
        "error": {"type": type(error).__name__, "message": result["error"]["message"]},
    }


def test_the_traceback_of_a_defect_has_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), report_failures(Console(as_json=False), "run"):
        raise ValueError("https://key:hunter2@host is no number\nand more")
    _, err = capsys.readouterr()
    assert "hunter2" not in err
    assert "headrace run: ValueError: https://***@host is no number (this is a defect" in err


def test_sigterm_ends_the_command_with_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    previous = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as exit_, report_failures(Console(as_json=False), "train"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert exit_.value.exit_code == 143
    assert "headrace train: terminated by SIGTERM" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is previous


def test_what_interrupts_is_told_with_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    error = KeyboardInterrupt()
    error.add_note("checkpoint: s3://key:secret@bucket/step-7.ckpt")
    with (
        pytest.raises(typer.Exit),
        report_failures(Console(as_json=True), "train"),
        note_interruption("to go on: headrace train r.yaml"),
    ):
        raise error
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "headrace train: interrupted",
        "  checkpoint: s3://***@bucket/step-7.ckpt",
        "  to go on: headrace train r.yaml",
    ]
    assert json.loads(out)["error"]["message"] == err.partition(": ")[2].strip("\n")


def test_what_fails_by_itself_has_no_such_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(typer.Exit),
        report_failures(Console(as_json=False), "train"),
        note_interruption("to go on: headrace train r.yaml"),
    ):
        raise LakeError("gone")
    assert capsys.readouterr().err == "headrace train: gone\n"


def test_a_failed_verdict_is_exit_code_3() -> None:
    assert choose_exit_code({"passed": True}) == 0
    assert choose_exit_code({"passed": False}) == 3
    assert choose_exit_code({"passed": None}) == 0, "nothing was judged, so nothing failed"
