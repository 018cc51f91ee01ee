"""Predictions are published once, by one commit, and only where every row is accounted for."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import ConflictError, DatasetError, LedgerError
from headrace.formats import PREDICTIONS
from headrace.lake.predictions import (
    discard_predictions,
    find_newest_predictions,
    find_published_predictions,
    open_predictions,
    publish_predictions,
    read_score_record,
)
from headrace.lake.score_record import PredictionFile, ScoredPartition, ScoreLedger, ScoreRecord
from tests.lake.sidecar_files import rewrite

FILE_SCHEMA = pa.schema([("prediction", pa.float64())])
SCHEMA = FILE_SCHEMA.append(pa.field("day", pa.string()))


def write_file(root: Path, job: str, day: str, rows: int) -> PredictionFile:
    folder = root / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{job}-0.parquet"
    pq.write_table(pa.table({"prediction": [0.5] * rows}, schema=FILE_SCHEMA), path)
    return PredictionFile(
        path=f"day={day}/{path.name}", partition=f"day={day}", source="visits",
        values={"day": day}, rows=rows, bytes=path.stat().st_size,
    )  # fmt: skip


def make_record(
    root: Path, job: str, days: dict[str, int], old: ScoreRecord | None = None, **changes: Any
) -> ScoreRecord:
    """Make the record of a job that scores days (day -> rows), beside those of an older record."""
    files = tuple(write_file(root, job, day, rows) for day, rows in days.items())
    partitions = tuple(
        ScoredPartition(
            source="visits", name=file.partition, build_id=job, model="models:/m/1", files=(),
            ledger=ScoreLedger(read=file.rows, scored=file.rows, quarantined={}, filtered=0),
        )
        for file in files
    )  # fmt: skip
    fields = {
        "build_id": job, "created_at": "", "headrace_version": "0", "recipe": {},
        "source": "visits", "model": "models:/m/1", "run_id": "r", "dataset": {},
        "threshold": None, "columns": {"prediction": "double"}, "partition_by": ("day",),
        "partitions": (*(old.partitions if old else ()), *partitions),
        "files": (*(old.files if old else ()), *files),
    }  # fmt: skip
    return ScoreRecord(**fields | changes)


def test_a_job_adds_its_files_to_those_of_its_base(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert find_newest_predictions(root) is None
    first = make_record(tmp_path, "one", {"1": 3})
    assert publish_predictions(root, first, SCHEMA) == 0
    second = make_record(tmp_path, "two", {"2": 4}, first, base=0)
    assert publish_predictions(root, second, None) == 1
    assert find_newest_predictions(root) == (1, second)
    assert open_predictions(root, 0) == (0, first)
    assert open_predictions(root) == (1, second)
    rows = pl.read_delta(root).group_by("day").len().sort("day").rows()
    assert rows == [("1", 3), ("2", 4)]
    counts = DeltaTable(root).get_add_actions(flatten=True)["num_records"].to_pylist()
    assert sorted(counts) == [3, 4]  # Spark plans by them


def test_a_job_replaces_the_files_of_a_day_that_it_scored_again(tmp_path: Path) -> None:
    root = str(tmp_path)
    first = make_record(tmp_path, "one", {"1": 3, "2": 5})
    publish_predictions(root, first, SCHEMA)
    unchanged = first.model_copy(
        update={"partitions": first.partitions[:1], "files": first.files[:1]}
    )
    second = make_record(tmp_path, "two", {"2": 6}, unchanged, base=0)
    assert publish_predictions(root, second, None) == 1
    rows = pl.read_delta(root).group_by("day").len().sort("day").rows()
    assert rows == [("1", 3), ("2", 6)]


def test_of_two_jobs_on_one_base_the_second_is_a_conflict(tmp_path: Path) -> None:
    root = str(tmp_path)
    first = make_record(tmp_path, "one", {"1": 3})
    publish_predictions(root, first, SCHEMA)
    publish_predictions(root, make_record(tmp_path, "two", {"2": 4}, first, base=0), None)
    late = make_record(tmp_path, "late", {"3": 5}, first, base=0)
    with pytest.raises(ConflictError, match="Another job was published since this one began"):
        publish_predictions(root, late, None)
    discard_predictions(root, "late")
    assert open_predictions(root)[1].build_id == "two"
    assert not list(tmp_path.rglob("*late*"))


def test_a_given_id_is_found_again(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert find_published_predictions(root, "nightly") is None
    record = make_record(tmp_path, "one", {"1": 3}, given_id="nightly")
    publish_predictions(root, record, SCHEMA)
    publish_predictions(root, make_record(tmp_path, "two", {"2": 4}, record, base=0), None)
    assert find_published_predictions(root, "nightly") == (0, record)
    assert find_published_predictions(root, "other") is None
    assert DeltaTable(root).transaction_version("headrace-score:nightly") == 0


@pytest.mark.parametrize(
    ("ledger", "message"),
    [
        (
            ScoreLedger(read=5, scored=3, quarantined={}, filtered=1),
            r"the ledger of source partition 'day=1' does not add up",
        ),
        (
            ScoreLedger(read=5, scored=4, quarantined={}, filtered=1),
            r"partition 'day=1' has 3 predictions in files and 4 in the ledger",
        ),
    ],
)
def test_rows_that_are_not_accounted_for_are_not_published(
    tmp_path: Path, ledger: ScoreLedger, message: str
) -> None:
    record = make_record(tmp_path, "one", {"1": 3})
    partition = record.partitions[0].model_copy(update={"ledger": ledger})
    record = record.model_copy(update={"partitions": (partition,)})
    with pytest.raises(LedgerError, match=message):
        publish_predictions(str(tmp_path), record, SCHEMA)
    assert not (tmp_path / "_delta_log").exists()


def test_a_file_that_was_truncated_is_not_published(tmp_path: Path) -> None:
    record = make_record(tmp_path, "one", {"1": 3})
    file = tmp_path / record.files[0].path
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"part-one-0\.parquet has \d+ bytes here"):
        publish_predictions(str(tmp_path), record, SCHEMA)
    assert not (tmp_path / "_delta_log").exists()


def test_a_failed_job_is_discarded_and_a_committed_one_is_not(tmp_path: Path) -> None:
    root = str(tmp_path)
    record = make_record(tmp_path, "one", {"1": 3})
    publish_predictions(root, record, SCHEMA)
    write_file(tmp_path, "dead", "1", 9)
    (tmp_path / "_headrace" / "dead").mkdir()
    discard_predictions(root, "dead")
    discard_predictions(root, "one")
    assert sorted(p.name for p in (tmp_path / "_headrace").iterdir()) == ["one"]
    assert [p.name for p in tmp_path.rglob("part-*")] == ["part-one-0.parquet"]
    discard_predictions(str(tmp_path / "nowhere"), "one")


def test_a_table_of_another_program_is_no_predictions(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path), pa.table({"a": [1]}))
    with pytest.raises(
        DatasetError,
        match=r"newest commit \(WRITE\) is not of `headrace score`.*Choose another --output",
    ):
        find_newest_predictions(str(tmp_path))


def test_a_record_that_is_damaged_or_newer_is_refused(tmp_path: Path) -> None:
    root = str(tmp_path)
    publish_predictions(root, make_record(tmp_path, "one", {"1": 3}), SCHEMA)
    path = tmp_path / "_headrace" / "one" / "score.json"
    newer = PREDICTIONS.current + 1
    rewrite(path, f'{{"format_version": {newer}}}')
    with pytest.raises(DatasetError, match=rf"score\.json is of format {newer}"):
        read_score_record(root, "one")
    rewrite(path, '{"format_version": 1}')
    with pytest.raises(DatasetError, match=r"score\.json is damaged or of another Headrace"):
        open_predictions(root)


def test_a_version_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there are no predictions at .*; run `headrace score`"):
        open_predictions(str(tmp_path / "nowhere"))
    publish_predictions(str(tmp_path), make_record(tmp_path, "one", {"1": 3}), SCHEMA)
    with pytest.raises(DatasetError, match="have no version 7"):
        open_predictions(str(tmp_path), 7)
