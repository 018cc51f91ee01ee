"""Metrics of stages as node_exporter's textfile collector and a Pushgateway get them."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace.commands.observers import prometheus
from headrace.commands.observers.prometheus import Prometheus
from headrace.progress import Progress


def read_samples(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Return metric name -> values of its own labels -> value."""
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.labels["recipe"], sample.labels["stage"]) == ("tiny", "train")
            own = tuple(v for k, v in sample.labels.items() if k not in ("recipe", "stage"))
            samples.setdefault(sample.name, {})[own] = sample.value
    return samples


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(prometheus, "time", clock)
    return clock


def test_a_stage_from_start_to_end(clock: Clock, tmp_path: Path) -> None:
    observer = Prometheus("tiny", str(tmp_path / "new" / "folder"), None, pytest.fail)
    file = tmp_path / "new/folder/headrace_tiny_train.prom"
    observer.on_stage_start("train")
    assert read_samples(file.read_text()) == {
        "headrace_stage_running": {(): 1.0},
        "headrace_stage_start_time_seconds": {(): 1000.0},
        "headrace_stage_progress_ratio": {(): 0.0},
    }
    clock.now = 1004.0  # too early for an update
    observer.on_progress("train", Progress("epoch 1", 1, 4))
    assert read_samples(file.read_text())["headrace_stage_progress_ratio"] == {(): 0.0}
    clock.now = 1006.0
    observer.on_progress("train", Progress("epoch 1", 2, 4, {"loss": 0.5, "epoch": 1}))
    samples = read_samples(file.read_text())
    assert samples["headrace_stage_progress_ratio"] == {(): 0.5}
    assert samples["headrace_metric"] == {("loss",): 0.5, ("epoch",): 1.0}
    clock.now = 1010.0
    ledger = {"read": 9, "published": {"train": 7, "test": 2}, "duplicates": 0}
    observer.on_stage_end("train", {"metrics": {"loss": 0.25}, "ledger": ledger})
    samples = read_samples(file.read_text())
    assert samples["headrace_stage_running"] == {(): 0.0}
    assert samples["headrace_stage_succeeded"] == {(): 1.0}
    assert samples["headrace_stage_duration_seconds"] == {(): 10.0}
    assert samples["headrace_stage_last_success_time_seconds"] == {(): 1010.0}
    assert samples["headrace_metric"] == {("loss",): 0.25, ("epoch",): 1.0}
    assert samples["headrace_rows"] == {
        ("read",): 9.0, ("published: train",): 7.0, ("published: test",): 2.0, ("duplicates",): 0.0,
    }  # fmt: skip


def test_rows_are_those_that_the_stage_processed(tmp_path: Path) -> None:
    observer = Prometheus("tiny", str(tmp_path), None, pytest.fail)
    observer.on_stage_start("train")
    observer.on_stage_end("train", {"ledger": {"read": 100}, "processed": {"read": 7}})
    text = (tmp_path / "headrace_tiny_train.prom").read_text()
    assert read_samples(text)["headrace_rows"] == {("read",): 7.0}


def test_a_run_that_fails_does_not_forget_the_last_success(clock: Clock, tmp_path: Path) -> None:
    for now in (1000.0, 2000.0):
        clock.now = now
        observer = Prometheus("tiny", str(tmp_path), None, pytest.fail)
        observer.on_stage_start("train")
        if now == 1000.0:
            observer.on_stage_end("train", {})
        else:
            observer.on_stage_failure("train", ValueError("broken"))
    samples = read_samples((tmp_path / "headrace_tiny_train.prom").read_text())
    assert samples["headrace_stage_succeeded"] == {(): 0.0}
    assert samples["headrace_stage_last_success_time_seconds"] == {(): 1000.0}


def test_a_gateway_gets_a_group_per_stage_of_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pushes: list[tuple[Any, ...]] = []

    def push(gateway: str, job: str, registry: Any, grouping_key: Any, timeout: float) -> None:
        samples = read_samples(generate_latest(registry).decode())
        pushes.append((gateway, job, grouping_key, samples["headrace_stage_running"][()]))

    monkeypatch.setattr(prometheus, "push_to_gateway", push)
    observer = Prometheus("tiny", None, "http://gateway", pytest.fail)
    observer.on_stage_start("train")
    observer.on_stage_end("train", {})
    group = {"recipe": "tiny", "stage": "train"}
    assert pushes == [
        ("http://gateway", "headrace", group, 1.0),
        ("http://gateway", "headrace", group, 0.0),
    ]


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    lines: list[str] = []
    observer = Prometheus("tiny", str(tmp_path / "file"), None, lines.append)
    observer.on_stage_start("train")
    observer.on_progress("train", Progress("epoch 1"))
    observer.on_stage_failure("train", ValueError("broken"))
    (line,) = lines
    assert line.startswith("Prometheus metrics could not be published: ")
