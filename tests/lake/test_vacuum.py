"""What vacuum removes, and what it must never touch."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headrace.errors import DatasetError
from headrace.lake import DatasetVersion, publish_build
from headrace.lake.vacuum import VacuumResult, read_change_time, vacuum_dataset
from tests.lake.building import (
    SCHEMA,
    make_build,
    make_increment,
    publish_first_version,
    write_data_file,
)

DAY = timedelta(days=1)


def run_vacuum(
    root: Path, *, keep: timedelta = DAY, in_days: float = 0, dry: bool = False
) -> VacuumResult:
    now = datetime.now(UTC) + in_days * DAY
    return vacuum_dataset(str(root), keep=keep, leftovers_after=DAY, now=now, dry_run=dry)


def files(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three versions: first, with second, and third without first."""
    root = tmp_path / "ds"
    base = publish_first_version(root)
    publish_build(str(root), make_increment(base, "second", 5), SCHEMA, "")
    second = DatasetVersion.open(str(root))
    publish_build(str(root), make_increment(second, "third", 7, without=["first"]), SCHEMA, "")
    return root


def test_nothing_is_old_yet(root: Path) -> None:
    before = files(root)
    assert run_vacuum(root) == VacuumResult((), (), (), 0)
    assert files(root) == before


def test_old_versions_go_and_what_the_newest_needs_stays(root: Path) -> None:
    before = files(root)
    planned = run_vacuum(root, in_days=2, dry=True)
    assert files(root) == before
    done = run_vacuum(root, in_days=2)
    assert done == planned
    assert done.versions == (0, 1)
    # the first build fitted the transform, so that stays; its rows are in no kept version
    removed = {"split=train/part-first-00000-0.parquet"}
    assert set(done.files) == removed | {f"_headrace/{b}/build.json" for b in ("first", "second")}
    for version in (0, 1):
        with pytest.raises(DatasetError, match="removed since, by `headrace vacuum`"):
            DatasetVersion.open(str(root), version)
    newest = DatasetVersion.open(str(root))
    assert (newest.version, newest.count_rows("train"), newest.transform_json) == (2, 12, "{}")
    for file in newest.build.files:
        assert (root / file.path).stat().st_size == file.bytes
    assert run_vacuum(root, in_days=2).files == ()


def test_a_version_is_kept_from_when_another_took_its_place(root: Path) -> None:
    log = root / "_delta_log"
    assert len(list(log.glob("*.json"))) == 3
    time.sleep(0.05)
    result = run_vacuum(root, keep=timedelta(0))
    assert result.versions == (0, 1)


def test_leftovers_of_dead_builds_go_and_those_of_running_ones_stay(root: Path) -> None:
    dead, running = write_data_file(root, "dead", 3), write_data_file(root, "running", 4)
    sidecar = root / "_headrace" / "dead" / "quarantine"
    sidecar.mkdir(parents=True)
    (sidecar / "part-0.parquet").write_bytes(b"x")
    stranger = root / "notes.txt"
    stranger.write_text("not ours")
    old = time.time() - 3 * 86400
    for path in (root / dead.path, sidecar / "part-0.parquet", stranger):
        os.utime(path, (old, old))
    result = run_vacuum(root)
    assert result.leftovers == ("dead",)
    assert set(result.files) == {dead.path, "_headrace/dead/quarantine/part-0.parquet"}
    assert not (root / "_headrace" / "dead").exists()
    assert (root / running.path).exists()
    assert stranger.exists()


def test_a_dead_attempt_of_a_task_goes_with_its_version(root: Path) -> None:
    twice = root / "split=train" / "part-third-00000-1.parquet"
    twice.write_bytes(b"a task that was tried again")
    assert run_vacuum(root).files == ("split=train/part-third-00000-1.parquet",)
    assert DatasetVersion.open(str(root)).count_rows("train") == 12


def test_a_newest_version_that_cannot_be_read_stops_it(root: Path) -> None:
    (root / "_headrace" / "third" / "build.json").unlink()
    before = files(root)
    with pytest.raises(DatasetError, match="version 2 is to be kept and cannot be read"):
        run_vacuum(root, in_days=9)
    assert files(root) == before


def test_a_kept_version_that_is_damaged_stops_it_and_one_that_is_not_kept_goes(root: Path) -> None:
    damaged = root / "_headrace" / "second" / "build.json"
    damaged.write_text('{"build_id": 5}')
    before = files(root)
    with pytest.raises(DatasetError, match=r"version 1 is to be kept .*build.json is damaged"):
        run_vacuum(root)
    assert files(root) == before
    run_vacuum(root, in_days=9)
    assert not damaged.exists()
    assert DatasetVersion.open(str(root)).count_rows("train") == 12


def test_a_vacuum_that_is_killed_leaves_no_version_that_looks_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    real = LocalFileSystem.rm_file

    def killed(self: LocalFileSystem, path: str) -> None:
        if not path.endswith("/build.json"):
            raise KeyboardInterrupt
        real(self, path)

    monkeypatch.setattr(LocalFileSystem, "rm_file", killed)
    with pytest.raises(KeyboardInterrupt):
        run_vacuum(root, in_days=2)
    monkeypatch.setattr(LocalFileSystem, "rm_file", real)
    for version in (0, 1):
        with pytest.raises(DatasetError, match="removed since"):
            DatasetVersion.open(str(root), version)
    assert run_vacuum(root, in_days=2).files == ("split=train/part-first-00000-0.parquet",)


def test_live_files_stay_where_the_log_has_forgotten_their_build(root: Path) -> None:
    for number in range(4):
        base = DatasetVersion.open(str(root))
        publish_build(str(root), make_increment(base, f"more{number}", 2), SCHEMA, "")
    table = DeltaTable(str(root))
    table.create_checkpoint()
    for version in range(6):  # what expired log files are: gone
        (root / "_delta_log" / f"{version:020d}.json").unlink()
    live = {file.path for file in DatasetVersion.open(str(root)).build.files}
    result = run_vacuum(root, in_days=60)
    assert not live & set(result.files)
    newest = DatasetVersion.open(str(root))
    assert newest.count_rows("train") == 20
    assert all((root / path).exists() for path in live)


def test_every_kept_version_keeps_all_that_it_has(tmp_path: Path) -> None:
    """Also where a later build shares nothing with it."""
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one", 10), SCHEMA, "{}")
    publish_build(str(root), make_build(root, "two", 20, base=0), SCHEMA, "{}")
    before = files(root)
    assert run_vacuum(root) == VacuumResult((), (), (), 0)
    assert files(root) == before


@pytest.mark.parametrize("key", ["mtime", "LastModified", "last_modified", "updated"])
def test_the_time_of_a_file_is_read_in_every_stores_words(key: str) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    naive = noon.replace(tzinfo=None)
    for value in (noon, naive, noon.isoformat(), naive.isoformat(), noon.timestamp()):
        assert read_change_time({"name": "a", key: value}) == noon


def test_there_must_be_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no dataset"):
        run_vacuum(tmp_path / "nowhere")


def test_builds_of_everything(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one", 10), SCHEMA, "{}")
    publish_build(str(root), make_build(root, "two", 20, base=0), SCHEMA, "{}")
    done = run_vacuum(root, in_days=2)
    assert done.versions == (0,)
    assert not (root / "_headrace" / "one").exists()
    with pytest.raises(DatasetError, match="removed since, by `headrace vacuum`"):
        DatasetVersion.open(str(root), 0)
    assert DatasetVersion.open(str(root)).count_rows("train") == 20
