"""What a person reads: plain lines when piped, every failure with its exit code."""

import json

import pytest
import typer

from headrace.commands.console import Console
from headrace.commands.exit_codes import guarded
from headrace.commands.results import metric_lines
from headrace.errors import LakeError
from headrace.progress import Progress


def test_plain_lines_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(as_json=False).stage("train") as report:
        for step in range(1, 4):
            report(Progress("epoch 1 of 2", step, 3))
        report(Progress("registering"))
    lines = [line.partition("]  ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "train: epoch 1 of 2 (1 of 3)",
        "train: epoch 1 of 2 (3 of 3)",
        "train: registering",
    ]
    assert lines[3].startswith("train: done in ")


def test_with_json_people_read_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    with console.stage("train") as report:
        report(Progress("working"))
    console.result({"b": 1, "a": "é"})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": "é", "b": 1}
    assert "train: working" in err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (LakeError("s3://key:secret@host/x is gone"), 1, "s3://***@host/x is gone"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division by zero"), 1, "this is a defect of Headrace"),
    ],
)
def test_failures(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(as_json=True)
    with pytest.raises(typer.Exit) as exit_, guarded(console, "run"):
        raise error
    assert exit_.value.exit_code == code
    out, err = capsys.readouterr()
    assert text in err
    assert ("Traceback" in err) == isinstance(error, ZeroDivisionError)
    assert json.loads(out)["exit_code"] == code


def test_metrics_for_people() -> None:
    metrics = {"rows": 29496.0, "roc_auc": 0.75912, "f1": 1.0, "mse": 1234.5678, "epochs": 6.0}
    assert metric_lines("Test", metrics) == [
        "Test",
        "  rows                                29,496",
        "  roc_auc                             0.7591",
        "  f1                                  1.0000",
        "  mse                                1,234.6",
        "  epochs                                   6",
    ]
