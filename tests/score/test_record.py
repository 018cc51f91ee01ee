"""The record of a scoring job: its partitions and files, and those of earlier jobs that stay."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.lake.score_record import PredictionFile, ScoredPartition, ScoreLedger, ScoreRecord
from headrace.lake.source_partition import SourceFile
from headrace.progress import ignore_progress
from headrace.score.attempt import ScoreAttempt
from headrace.score.plan import ScorePlan
from headrace.score.record import build_record, build_removal_record
from headrace.score.task_results import TaskResults
from headrace.source.partition_index import PartitionIndex
from headrace.source.rules import Check
from headrace.tracking.model import ModelVersion
from tests.tiny import tiny_recipe

FILES = (SourceFile(path="day=1/a", bytes=1, changed="1"),)
FACTS = {
    "dataset_root": "/data", "dataset_version": 4, "dataset_digest": "abc", "threshold": 0.25
}  # fmt: skip


def prediction_file(path: str, partition: str, source: str = "") -> PredictionFile:
    return PredictionFile(path=path, partition=partition, source=source, values={}, rows=1, bytes=1)


def scored_partition(name: str, source: str) -> ScoredPartition:
    ledger = ScoreLedger(read=100, scored=100, quarantined={}, filtered=0)
    return ScoredPartition(
        source=source, name=name, build_id="old", model="models:/m/1", files=(), ledger=ledger
    )


def attempt(workdir: Path, base: ScoreRecord | None = None) -> ScoreAttempt:
    """Return a job that scores day=1 and day=2 of table t."""
    recipe = tiny_recipe(workdir, "clean.rules=[{kind: unique, columns: [visit]}]")
    unaffected = (scored_partition("day=3", "t"), scored_partition("day=1", "other"))
    plan = ScorePlan(
        source="t", partitioning="partition", listing=None,
        partitions={"day=1": FILES, "day=2": (), "day=3": ()},
        values={}, processed=frozenset({"day=1", "day=2"}), unaffected=unaffected, removed_count=0,
        has_rewritten_files=False, reason="",
    )  # fmt: skip
    return ScoreAttempt(
        recipe=recipe, reading=recipe, plan=plan, root="/out", base=(7, base) if base else None,
        model=ModelVersion("m", 2, "run", dict(FACTS)), written=["visit"], report=ignore_progress,
        idempotency_id="mine", now=datetime(2020, 1, 2, tzinfo=UTC), build_id="B",
    )  # fmt: skip


def record(job: ScoreAttempt, results: TaskResults) -> ScoreRecord:
    checks = (Check("range(x)", "quarantine"), Check("odd", "null"), Check("old", "quarantine"))
    rows: Any = SimpleNamespace(
        raw=SimpleNamespace(
            partition_index=PartitionIndex(("day=1", "day=2"), np.zeros(0), np.zeros(0)),
            read={"day=1": 10, "day=2": 3},
            excluded={"day=1": 1, "day=2": 0},
            sources={"t": {"path": "/t", "rows": 13}},
        ),
        checks=checks,
        rules_left_out=("not_null(late)",),
    )
    return build_record(
        job, rows, results, drift=(), schema=pa.schema({"visit": pa.int64(), "day": pa.string()}),
        partition_by=("day",), quarantine="q",
    )  # fmt: skip


def results() -> TaskResults:
    buckets = {(0, 0): 5, (0, 3): 3, (0, 1): 1, (1, 0): 3}
    return TaskResults(
        files=[prediction_file("z", "day=1"), prediction_file("b", "day=2")],
        buckets=Counter(buckets),
    )


def test_every_partition_has_a_ledger_that_adds_up(tmp_path: Path) -> None:
    written = record(attempt(tmp_path), results())
    partitions = {(p.source, p.name): p for p in written.partitions}
    assert list(partitions) == [("other", "day=1"), ("t", "day=1"), ("t", "day=2"), ("t", "day=3")]
    day = partitions["t", "day=1"]
    assert (day.build_id, day.model, day.files) == ("B", "models:/m/2", FILES)
    assert day.ledger == ScoreLedger(
        read=10, scored=5, quarantined={"range(x)": 1, "old": 3}, filtered=1
    )
    assert partitions["t", "day=2"].ledger.quarantined == {}
    for partition in written.partitions:
        partition.ledger.check_balance(partition.name)
    assert partitions["t", "day=3"].build_id == "old"


def test_what_the_record_says_of_the_job(tmp_path: Path) -> None:
    written = record(attempt(tmp_path), results())
    assert written.columns == {"visit": "int64", "day": "string"}
    assert written.dataset == {"root": "/data", "version": 4, "digest": "abc"}
    assert (written.model, written.run_id, written.threshold) == ("models:/m/2", "run", 0.25)
    assert (written.created_at, written.given_id) == ("2020-01-02T00:00:00+00:00", "mine")
    assert (written.base, written.quarantine, written.partition_by) == (None, "q", ("day",))
    assert written.rules_left_out == ("unique(visit)", "not_null(late)")
    assert [(f.path, f.source) for f in written.files] == [("b", "t"), ("z", "t")]


def test_files_of_partitions_that_are_unaffected_stay(tmp_path: Path) -> None:
    first = record(attempt(tmp_path), results())
    before = first.model_copy(
        update={
            "files": (
                prediction_file("m", "day=3", "t"),
                prediction_file("o", "day=1", "other"),
                prediction_file("gone", "day=1", "t"),
            )
        }
    )
    written = record(attempt(tmp_path, before), results())
    assert [f.path for f in written.files] == ["b", "m", "o", "z"]
    assert written.base == 7


def test_a_removal_keeps_what_is_unaffected(tmp_path: Path) -> None:
    files = (prediction_file("m", "day=3", "t"), prediction_file("gone", "day=1", "t"))
    before = record(attempt(tmp_path), results()).model_copy(update={"files": files})
    job = replace(attempt(tmp_path, before), build_id="C")
    removal = build_removal_record(job)
    assert [f.path for f in removal.files] == ["m"]
    assert removal.partitions == job.plan.unaffected
    assert (removal.build_id, removal.base, removal.quarantine) == ("C", 7, None)
    assert removal.columns == before.columns
