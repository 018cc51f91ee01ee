"""The score command on a scoring job that is replaced: its result and what people read."""

from pathlib import Path
from typing import Any

import pytest

from headrace.errors import LakeError
from headrace.lake.drift import ColumnDrift
from headrace.lake.score_record import ScoredPartition, ScoreLedger, ScoreRecord
from headrace.score.run import Scored
from tests.commands.stage_outcomes import run_command, write_recipe

OLD, NEW = "s1", "s2"


def ledger(rows: int) -> ScoreLedger:
    return ScoreLedger(read=rows + 3, scored=rows, quarantined={"label": 2}, filtered=1)


def build_scored(published: bool = True) -> Scored:
    """Return the outcome of a job that scored one partition, beside one of an earlier job."""
    record = ScoreRecord(
        build_id=NEW,
        created_at="2026-01-01T00:00:00+00:00",
        headrace_version="0.1.0",
        recipe={},
        source="visits",
        model="models:/tiny/5",
        run_id="run-2",
        dataset={"version": 3},
        threshold=None,
        columns={},
        partition_by=(),
        partitions=tuple(
            ScoredPartition(
                source="visits",
                name=name,
                build_id=build_id,
                model="models:/tiny/5",
                files=(),
                ledger=ledger(rows),
            )
            for name, build_id, rows in (("day=1", OLD, 10), ("day=2", NEW, 20))
        ),
        files=(),
        drift=tuple(
            ColumnDrift(name=name, measure="psi", value=value, limit=0.2, rows=20)
            for name, value in (("amount", 0.3), ("size", 0.1))
        ),
        rules_left_out=("unique visit",),
        quarantine="_headrace/s2/quarantine",
    )
    return Scored("/lake/scores", 2, record, published, "nothing new", {"all": 1.5})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls of the replaced job and of Spark's end."""
    calls: list[Any] = []

    def score(recipe: Any, *, report: Any, **arguments: Any) -> Scored:
        calls.append(arguments)
        if arguments["table"] == "missing":
            raise LakeError("missing does not exist")
        return build_scored(published=arguments["full"])

    monkeypatch.setattr("headrace.score.run.score", score)
    monkeypatch.setattr(
        "headrace.spark_session.stop_own_session", lambda: calls.append("stop_own_session")
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return calls


def run_score(folder: Path, table: str, *options: str) -> Any:
    return run_command(
        "score", write_recipe(folder), "--workdir", str(folder), "--input", table,
        "--output", "/lake/scores", "--json", *options,
    )  # fmt: skip


def test_score(calls: list[Any], tmp_path: Path) -> None:
    done = run_score(tmp_path, "s3://key:hunter2@lake/visits", "--full", "--build-id", "night")
    assert done.code == 0
    assert done.result == {
        "command": "score",
        "ok": True,
        "source": "s3://***@lake/visits",
        "predictions": {"path": "/lake/scores", "version": 2, "build_id": "s2"},
        "model_uri": "models:/tiny/5",
        "run_id": "run-2",
        "dataset": {"version": 3},
        "published": True,
        "why": "nothing new",
        "processed": {
            "read": 23,
            "scored": 20,
            "quarantined": {"label": 2},
            "filtered": 1,
            "erased": 0,
        },
        "ledger": {
            "read": 36,
            "scored": 30,
            "quarantined": {"label": 4},
            "filtered": 2,
            "erased": 0,
        },
        "drifted": ["amount"],
        "rules_left_out": ["unique visit"],
        "quarantine": "/lake/scores/_headrace/s2/quarantine",
        "seconds": {"score": {"all": 1.5}},
        "tracking_uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db",
    }
    assert calls == [
        {
            "table": "s3://key:hunter2@lake/visits",
            "output": "/lake/scores",
            "workdir": str(tmp_path),
            "model_uri": None,
            "full": True,
            "idempotency_id": "night",
        },
        "stop_own_session",
    ]
    assert "hunter2" not in done.out + done.err
    assert done.err.splitlines()[1:] == [  # after "score: done in …"
        "Rows of this job",
        "  rows read                             23",
        "    scored                              20",
        "    quarantined, label                   2",
        "    filtered                             1",
        "Rows with predictions",
        "  rows read                             36",
        "    scored                              30",
        "    quarantined, label                   4",
        "    filtered                             2",
        "Drifted  amount, of 2",
        "Not applied: unique visit",
        "Scores   /lake/scores, version 2, by models:/tiny/5",
        "Rejected /lake/scores/_headrace/s2/quarantine",
    ]


def test_nothing_to_score(calls: list[Any], tmp_path: Path) -> None:
    done = run_score(tmp_path, "visits")
    assert (done.code, done.result["published"]) == (0, False)
    assert "score: nothing new; version 2 stays the newest" in done.err
    assert "Rows of this job" not in done.err


def test_a_job_that_fails_stops_spark(calls: list[Any], tmp_path: Path) -> None:
    done = run_score(tmp_path, "missing")
    assert (done.code, done.result["error"]["message"]) == (1, "missing does not exist")
    assert calls[-1] == "stop_own_session"
