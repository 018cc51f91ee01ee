"""Outcomes of stages and a way to run a command, so that commands are tested without engines."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from typer.testing import CliRunner

from headrace.cli import app
from headrace.evaluate import Evaluated
from headrace.lake import DataFile, DatasetVersion, Ledger
from headrace.lake.build import Build
from headrace.lake.drift import ColumnDrift
from headrace.prepare import Prepared
from headrace.train import Trained
from tests.tiny import tiny_tree

# 100 rows read: 60 + 20 + 10 published, 4 in quarantine, 5 duplicates, 1 filtered.
LEDGER = Ledger(
    read=100,
    published={"train": 60, "validation": 20, "test": 10},
    quarantined={"label": 4},
    duplicates=5,
    filtered={"where": 1},
)
LEDGER_JSON = {
    "read": 100,
    "published": {"train": 60, "validation": 20, "test": 10},
    "quarantined": {"label": 4},
    "duplicates": 5,
    "filtered": {"where": 1},
}


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """Return the JSON object on the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])


def run_command(*arguments: str) -> Ended:
    """Run `headrace` in this process."""
    ended = CliRunner().invoke(app, arguments)
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


def write_recipe(folder: Path, tree: dict[str, Any] | None = None) -> str:
    """Write a recipe, by default the tiny one, and return its path."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tree or tiny_tree()))
    return str(path)


def build_dataset() -> DatasetVersion:
    """Return version 3 of a dataset that is nowhere on disk."""
    file = DataFile(path="a.parquet", split="train", bytes=9, row_groups=(60,), content="c")
    drift = [
        ColumnDrift(name=name, measure="psi", value=value, limit=0.2, rows=90)
        for name, value in (("amount", 0.3), ("size", 0.1))
    ]
    build = Build(
        build_id="b3",
        created_at="2026-01-01T00:00:00+00:00",
        headrace_version="0.1.0",
        recipe={"name": "tiny"},
        sources={},
        ledger=LEDGER,
        files=(file,),
        label_kind="binary",
        transform_digest="d",
        drift=tuple(drift),
        quarantine="_headrace/b3/quarantine",
    )
    return DatasetVersion("/lake/tiny", 3, build, "{}")


def build_prepared(published: bool = True) -> Prepared:
    """Return the outcome of a prepare stage."""
    return Prepared(build_dataset(), {"all": 1.5}, published, "" if published else "nothing new")


def build_trained() -> Trained:
    """Return the outcome of a train stage."""
    return Trained(
        dataset=build_dataset(),
        run_id="run-2",
        model_uri="models:/tiny/5",
        metrics={"val_loss": 0.25},
        weights_checksum=["abc", "abc"],
        seconds={"all": 2.5},
        first_step_at=12.0,
        run_url="http://m/#/runs/run-2",
    )


def build_evaluated(passed: bool = True) -> Evaluated:
    """Return the outcome of an evaluate stage with one gate."""
    gate = {"text": "roc_auc 0.7 is at least 0.5", "passed": passed}
    return Evaluated(
        run_id="run-2",
        model_uri="models:/tiny/5",
        dataset=build_dataset(),
        metrics={"roc_auc": 0.7},
        verdict={"passed": passed, "gates": [gate]},
        report="evaluation/test/report.html",
        seconds={"all": 3.5},
        headline=("roc_auc",),
        run_url="http://m/#/runs/run-2",
    )
