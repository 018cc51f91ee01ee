"""The run of a published build: what it is found by, and what is compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.lake.drift import ColumnDrift
from headrace.lake.ledger import Ledger
from headrace.prepare import track
from tests.tiny import tiny_recipe


class Run:
    """A run that remembers what is logged to it."""

    run_id = "run-1"

    def __init__(self) -> None:
        self.logged: dict[str, Any] = {}
        self.texts: dict[str, str] = {}

    def log_recipe(self, recipe: Any) -> None:
        self.logged["recipe"] = recipe

    def describe(self, text: str) -> None:
        self.logged["description"] = text

    def set_tags(self, tags: dict[str, str]) -> None:
        self.logged["tags"] = tags

    def log_dataset(self, **facts: Any) -> None:
        self.logged["dataset"] = facts

    def log_metrics(self, values: dict[str, float]) -> None:
        self.logged["metrics"] = values

    def log_text(self, text: str, path: str) -> None:
        self.texts[path] = text


def test_a_build_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    names: list[str] = []

    @contextmanager
    def start_run(store: object, name: str) -> Iterator[Run]:
        names.append(name)
        yield run

    monkeypatch.setattr(track, "start_run", start_run)
    drift = [
        ColumnDrift(name="x", measure="psi", value=0.5, limit=0.2, rows=9),
        ColumnDrift(name="w", measure="l_infinity", value=0.1, limit=0.2, rows=9),
    ]
    whole = Ledger(
        read=100, published={"train": 80, "validation": 8, "test": 2}, quarantined={"a": 3, "b": 1},
        duplicates=5, filtered={"label is null": 1},
    )  # fmt: skip
    build = SimpleNamespace(
        build_id="B", ledger=whole, drift=drift, ledger_to_json=lambda: "ledger",
        processed_ledger=SimpleNamespace(read=40), recipe={"name": "tiny"},
    )  # fmt: skip
    dataset: Any = SimpleNamespace(
        build=build, version=3, root="/data", digest="abc", transform_json="transform",
        count_rows={"train": 80, "validation": 8, "test": 2}.get,
        read_text=lambda name: f"text of {name}",
    )  # fmt: skip
    recipe = tiny_recipe(tmp_path)
    store: Any = None
    assert track.record_build(recipe, dataset, {"fit": 1.5}, store) == "run-1"
    assert names == ["tiny-prepare-B"]
    assert run.logged["recipe"] is recipe
    assert run.logged["description"] == (
        "Version 3 of dataset tiny, build B.\n\n"
        "- Rows: 100 read; 80 train, 8 validation, 2 test published; 4 quarantined, 5 duplicates, "
        "1 filtered\n"
        "- Drifted: x\n"
    )
    tags = run.logged["tags"]
    assert tags["headrace.stage"] == "prepare"
    assert (tags["headrace.dataset"], tags["headrace.drifted"]) == ("3", "x")
    assert "B" in tags.values()
    assert run.logged["dataset"]["rows"] == {"train": 80, "validation": 8, "test": 2}
    assert run.logged["metrics"] == {
        "rows/read": 100, "rows/processed": 40, "drift/psi/x": 0.5, "drift/l_infinity/w": 0.1,
        "rows/published_train": 80, "rows/published_validation": 8, "rows/published_test": 2,
        "rows/quarantined": 4, "rows/duplicates": 5, "rows/filtered": 1,
        "performance/fit_seconds": 1.5,
    }  # fmt: skip
    assert run.texts == {
        "report.html": "text of report.html", "profile.json": "text of profile.json",
        "transform.json": "transform", "ledger.json": "ledger",
    }  # fmt: skip
