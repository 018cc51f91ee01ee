"""What a command writes: lines for people, JSON for machines, and what observers see of a stage."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from headrace.commands import console as console_module
from headrace.commands.console import Console, LogFormat, limit_rate
from headrace.progress import Progress


class RecordingObserver:
    """Keeps the calls that it gets."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_stage_start(self, stage: str) -> None:
        self.calls.append(("start", stage))

    def on_progress(self, stage: str, progress: Progress) -> None:
        self.calls.append(("progress", stage, progress.text))

    def on_stage_end(self, stage: str, result: Mapping[str, Any]) -> None:
        self.calls.append(("end", stage, dict(result)))

    def on_stage_failure(self, stage: str, error: BaseException) -> None:
        self.calls.append(("failure", stage, str(error)))


def test_plain_lines_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(as_json=False).track_stage("train") as report:
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
    with console.track_stage("train") as report:
        report(Progress("working"))
    console.print_summary(["in words"])
    console.print_result({"b": 1, "a": "é"})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": "é", "b": 1}
    assert "train: working" in err
    assert "in words" in err


def test_without_json_the_result_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Console(as_json=False).print_result({"a": 1})
    assert capsys.readouterr() == ("", "")


def test_a_json_log_has_an_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=False, log_format=LogFormat.JSON)
    with console.track_stage("train") as report:
        report(Progress("epoch 1 of 2", 1, 2, {"loss": 0.5}))
    console.print_summary(["for people only"])
    console.print_line("a line")
    console.print_result({"ok": True})
    console.print_error("an error", 2)
    out, err = capsys.readouterr()
    assert err == ""
    entries = [json.loads(line) for line in out.splitlines()]
    assert all(entry.pop("time").endswith("+00:00") for entry in entries)
    assert entries[1].pop("seconds") >= 0
    assert entries == [
        {
            "level": "info", "message": "epoch 1 of 2", "stage": "train", "done": 1, "total": 2,
            "metrics": {"loss": 0.5},
        },
        {"level": "info", "message": "done", "stage": "train"},
        {"level": "info", "message": "a line"},
        {"level": "info", "message": "result", "result": {"ok": True}},
        {"level": "error", "message": "an error", "exit_code": 2},
    ]  # fmt: skip


def test_observers_see_a_stage_from_start_to_end() -> None:
    console, observer = Console(as_json=False), RecordingObserver()
    console.observers = [observer]
    with console.track_stage("train") as report:
        report(Progress("one"))
        report(Progress("one"))  # observers get what the console leaves out
        report.result = {"run_id": "r"}
    assert observer.calls == [
        ("start", "train"),
        ("progress", "train", "one"),
        ("progress", "train", "one"),
        ("end", "train", {"run_id": "r"}),
    ]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt("broken")])
def test_observers_see_a_stage_fail(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    console, observer = Console(as_json=False), RecordingObserver()
    console.observers = [observer]
    with pytest.raises(type(error)), console.track_stage("train"):
        raise error
    assert observer.calls == [("start", "train"), ("failure", "train", "broken")]
    assert "done in" not in capsys.readouterr().out


def test_one_step_is_shown_once_in_ten_seconds_and_when_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now)
    shown: list[int | None] = []
    report = limit_rate(lambda progress: shown.append(progress.done))
    for now, done in [(100.0, 1), (109.9, 2), (110.0, 3), (110.1, 4), (110.2, 5)]:  # noqa: B007
        report(Progress("writing", done, 5))
    assert shown == [1, 3, 5]  # the first, one after 10 s, the last
