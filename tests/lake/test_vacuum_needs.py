"""Vacuum of manifests, of predictions and of the log: what a kept version names stays."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headrace.errors import DatasetError, RemovedError
from headrace.lake import DatasetVersion, record_lists
from headrace.lake.history import list_prediction_versions, list_versions
from headrace.lake.predictions import find_published_predictions, open_predictions
from headrace.lake.vacuum import VacuumResult, vacuum_dataset
from tests.lake.nights import make_id, publish_night, score_night

NIGHTS = 20
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def manifests_from_the_first_night_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_lists, "INLINE_BYTES", 0)


def vacuum(root: Path, *, in_days: float = 2, since: datetime | None = None) -> VacuumResult:
    """Remove what is in no version that was the newest `since`, or a day before."""
    now = datetime.now(UTC) + in_days * DAY
    keep = now - since if since else DAY

    def run(*, dry_run: bool) -> VacuumResult:
        return vacuum_dataset(str(root), keep=keep, leftovers_after=DAY, now=now, dry_run=dry_run)

    planned = run(dry_run=True)
    assert run(dry_run=False) == planned
    return planned


def list_manifests(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.jsonl")}


def name_manifests(root: Path) -> set[str]:
    lists = DatasetVersion.open(str(root)).build.lists
    assert lists is not None
    return {ref.path for refs in lists.manifests.values() for ref in refs}


def test_manifests_that_the_newest_version_names_stay_and_no_others(tmp_path: Path) -> None:
    for night in range(NIGHTS):
        publish_night(tmp_path, night, without=night - 1 if night % 4 == 3 else -1)
    named = name_manifests(tmp_path)
    assert list_manifests(tmp_path) > named
    result = vacuum(tmp_path)
    assert result.versions == tuple(range(NIGHTS - 1))
    assert list_manifests(tmp_path) == named
    build = DatasetVersion.open(str(tmp_path)).build
    assert {file.partition for file in build.files} == {p.name for p in build.partitions}
    assert all((tmp_path / file.path).exists() for file in build.files)
    publish_night(tmp_path, NIGHTS)
    assert len(DatasetVersion.open(str(tmp_path)).build.files) == len(build.files) + 1


@pytest.mark.parametrize("kept", [1, 3, 18])
def test_every_kept_version_opens_after_vacuum(tmp_path: Path, kept: int) -> None:
    for night in range(NIGHTS):
        publish_night(tmp_path, night, without=night - 1 if night % 4 == 3 else -1)
    before = [DatasetVersion.open(str(tmp_path), version) for version in range(NIGHTS)]
    days = [[p.name for p in dataset.build.partitions] for dataset in before]
    versions = list_versions(str(tmp_path))
    vacuum(tmp_path, since=versions[-kept].committed)
    readable = [v.version for v in list_versions(str(tmp_path)) if v.summary]
    assert readable == [*range(NIGHTS - kept, NIGHTS)]
    for version in readable:
        build = DatasetVersion.open(str(tmp_path), version).build
        assert [p.name for p in build.partitions] == days[version]
        assert all((tmp_path / file.path).exists() for file in build.files)
    for version in range(NIGHTS - kept):
        with pytest.raises(RemovedError, match="vacuum"):
            DatasetVersion.open(str(tmp_path), version)


def test_a_manifest_that_is_damaged_stops_it(tmp_path: Path) -> None:
    for night in range(3):
        publish_night(tmp_path, night)
    path = tmp_path / next(iter(name_manifests(tmp_path)))
    path.write_bytes(path.read_bytes() + b"\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DatasetError, match=r"so nothing is removed: .*jsonl is damaged"):
        vacuum(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_manifests_of_a_build_that_died_before_its_commit_go(tmp_path: Path) -> None:
    publish_night(tmp_path, 0)
    dead = tmp_path / "_headrace" / make_id(9)
    dead.mkdir()
    for path in (tmp_path / "_headrace" / make_id(0)).glob("*.jsonl"):
        (dead / path.name).write_bytes(path.read_bytes())
    assert vacuum(tmp_path, in_days=0).files == ()  # it may be about to commit
    old = time.time() - 3 * 86400
    for path in dead.iterdir():
        os.utime(path, (old, old))
    result = vacuum(tmp_path, in_days=0)
    assert (result.leftovers, len(result.files)) == ((make_id(9),), 2)
    assert not dead.exists()
    assert list_manifests(tmp_path) == name_manifests(tmp_path)


def test_predictions_of_old_jobs_go_and_what_the_newest_needs_stays(tmp_path: Path) -> None:
    for night in range(NIGHTS):
        score_night(tmp_path, night, given_id=f"night {night}")
    again = score_night_again(tmp_path)
    stranger = tmp_path / "day=0000" / "part-00000-0a1b2c3d-x.c000.snappy.parquet"
    stranger.write_bytes(b"of another program")
    os.utime(stranger, (0, 0))
    with pytest.raises(DatasetError, match="there is no dataset"):
        vacuum(tmp_path / "nowhere")
    assert vacuum(tmp_path, in_days=0).files == ()
    result = vacuum(tmp_path)
    assert result.versions == tuple(range(NIGHTS))
    (removed,) = (file for file in result.files if file.endswith(".parquet"))
    assert removed == f"day=0003/part-{make_id(3)}-7-0000.parquet"
    version, record = open_predictions(str(tmp_path))
    assert (version, record.build_id) == (NIGHTS, again)
    assert all((tmp_path / file.path).exists() for file in record.files)
    assert DeltaTable(str(tmp_path)).count() == 4 * NIGHTS
    assert record.ledger.scored == 4 * NIGHTS
    with pytest.raises(RemovedError):
        open_predictions(str(tmp_path), 4)
    with pytest.raises(DatasetError, match="published as 'night 4', and its version was removed"):
        find_published_predictions(str(tmp_path), "night 4")
    assert stranger.exists()
    score_night(tmp_path, NIGHTS + 5)
    assert len(open_predictions(str(tmp_path))[1].files) == NIGHTS + 1
    readable = [v.version for v in list_prediction_versions(str(tmp_path)) if v.summary]
    assert readable == [NIGHTS, NIGHTS + 1]


def score_night_again(root: Path) -> str:
    """Score the fourth day once more; returns the job's id."""
    from headrace.lake.predictions import publish_predictions
    from tests.lake.nights import PREDICTION_SCHEMA

    version, old = open_predictions(str(root))
    job = make_id(NIGHTS + 1)
    path = f"day=0003/part-{job}-0-0000.parquet"
    before = next(file for file in old.files if file.partition == "day=0003")
    (root / path).write_bytes((root / before.path).read_bytes())
    files = [f for f in old.files if f is not before] + [before.model_copy(update={"path": path})]
    partitions = [
        p.model_copy(update={"build_id": job}) if p.name == "day=0003" else p
        for p in old.partitions
    ]
    record = old.model_copy(
        update={"build_id": job, "base": version, "given_id": None, "files": tuple(files),
                "partitions": tuple(partitions)}
    )  # fmt: skip
    publish_predictions(str(root), record, PREDICTION_SCHEMA, old)
    return job


def test_the_log_is_shortened_with_the_versions(tmp_path: Path) -> None:
    for night in range(8):
        publish_night(tmp_path, night)
    DeltaTable(str(tmp_path), version=5).create_checkpoint()
    result = vacuum(tmp_path)
    assert len(result.log_files) == 5
    assert [v.version for v in list_versions(str(tmp_path))] == [5, 6, 7]
    assert DatasetVersion.open(str(tmp_path)).count_rows("train") == 40
    publish_night(tmp_path, 8)
    assert vacuum(tmp_path).versions == (7,)
    assert DatasetVersion.open(str(tmp_path)).count_rows("train") == 45
