"""What vacuum removes, and what it must never touch."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headrace.errors import DatasetError
from headrace.lake import DatasetVersion, publish
from headrace.lake.vacuum import Vacuumed, vacuum
from tests.lake.building import SCHEMA, build, data_file, increment, whole

DAY = timedelta(days=1)


def run(root: Path, *, keep: timedelta = DAY, in_days: float = 0, dry: bool = False) -> Vacuumed:
    now = datetime.now(UTC) + in_days * DAY
    return vacuum(str(root), keep=keep, leftovers_after=DAY, now=now, dry_run=dry)


def files(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three versions: first, with second, and third without first."""
    root = tmp_path / "ds"
    base = whole(root)
    publish(str(root), increment(base, "second", 5), SCHEMA, "")
    second = DatasetVersion.open(str(root))
    publish(str(root), increment(second, "third", 7, without=["first"]), SCHEMA, "")
    return root


def test_nothing_is_old_yet(root: Path) -> None:
    before = files(root)
    assert run(root) == Vacuumed((), (), (), 0)
    assert files(root) == before


def test_old_versions_go_and_what_the_newest_needs_stays(root: Path) -> None:
    before = files(root)
    planned = run(root, in_days=2, dry=True)
    assert files(root) == before
    done = run(root, in_days=2)
    assert done == planned
    assert done.versions == (0, 1)
    # the first build fitted the transform, so that stays; its rows are in no kept version
    gone = {"split=train/part-first-00000-0.parquet"}
    assert set(done.files) == gone | {f"_headrace/{b}/build.json" for b in ("first", "second")}
    for version in (0, 1):
        with pytest.raises(DatasetError, match="removed since, by `headrace vacuum`"):
            DatasetVersion.open(str(root), version)
    newest = DatasetVersion.open(str(root))
    assert (newest.version, newest.rows("train"), newest.transform_json) == (2, 12, "{}")
    for file in newest.build.files:
        assert (root / file.path).stat().st_size == file.bytes
    assert run(root, in_days=2).files == ()


def test_a_version_is_kept_from_when_another_took_its_place(root: Path) -> None:
    log = root / "_delta_log"
    assert len(list(log.glob("*.json"))) == 3
    time.sleep(0.05)
    found = run(root, keep=timedelta(0))
    assert found.versions == (0, 1)


def test_leftovers_of_dead_builds_go_and_those_of_running_ones_stay(root: Path) -> None:
    dead, running = data_file(root, "dead", 3), data_file(root, "running", 4)
    sidecar = root / "_headrace" / "dead" / "quarantine"
    sidecar.mkdir(parents=True)
    (sidecar / "part-0.parquet").write_bytes(b"x")
    stranger = root / "notes.txt"
    stranger.write_text("not ours")
    old = time.time() - 3 * 86400
    for path in (root / dead.path, sidecar / "part-0.parquet", stranger):
        os.utime(path, (old, old))
    found = run(root)
    assert found.leftovers == ("dead",)
    assert set(found.files) == {dead.path, "_headrace/dead/quarantine/part-0.parquet"}
    assert not (root / "_headrace" / "dead").exists()
    assert (root / running.path).exists()
    assert stranger.exists()


def test_a_dead_attempt_of_a_task_goes_with_its_version(root: Path) -> None:
    twice = root / "split=train" / "part-third-00000-1.parquet"
    twice.write_bytes(b"a task that was tried again")
    assert run(root).files == ("split=train/part-third-00000-1.parquet",)
    assert DatasetVersion.open(str(root)).rows("train") == 12


def test_a_newest_version_that_cannot_be_read_stops_it(root: Path) -> None:
    (root / "_headrace" / "third" / "build.json").unlink()
    before = files(root)
    with pytest.raises(DatasetError, match="version 2 is to be kept and cannot be read"):
        run(root, in_days=9)
    assert files(root) == before


def test_a_kept_version_that_is_damaged_stops_it_and_one_that_is_not_kept_goes(root: Path) -> None:
    damaged = root / "_headrace" / "second" / "build.json"
    damaged.write_text('{"build_id": 5}')
    before = files(root)
    with pytest.raises(DatasetError, match=r"version 1 is to be kept .*build.json is damaged"):
        run(root)
    assert files(root) == before
    run(root, in_days=9)
    assert not damaged.exists()
    assert DatasetVersion.open(str(root)).rows("train") == 12


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
        run(root, in_days=2)
    monkeypatch.setattr(LocalFileSystem, "rm_file", real)
    for version in (0, 1):
        with pytest.raises(DatasetError, match="removed since"):
            DatasetVersion.open(str(root), version)
    assert run(root, in_days=2).files == ("split=train/part-first-00000-0.parquet",)


def test_live_files_stay_where_the_log_has_forgotten_their_build(root: Path) -> None:
    for number in range(4):
        base = DatasetVersion.open(str(root))
        publish(str(root), increment(base, f"more{number}", 2), SCHEMA, "")
    table = DeltaTable(str(root))
    table.create_checkpoint()
    for version in range(6):  # what expired log files are: gone
        (root / "_delta_log" / f"{version:020d}.json").unlink()
    live = {file.path for file in DatasetVersion.open(str(root)).build.files}
    found = run(root, in_days=60)
    assert not live & set(found.files)
    newest = DatasetVersion.open(str(root))
    assert newest.rows("train") == 20
    assert all((root / path).exists() for path in live)


def test_there_must_be_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no dataset"):
        run(tmp_path / "nowhere")


def test_builds_of_everything(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish(str(root), build(root, "one", 10), SCHEMA, "{}")
    publish(str(root), build(root, "two", 20, base=0), SCHEMA, "{}")
    done = run(root, in_days=2)
    assert done.versions == (0,)
    assert not (root / "_headrace" / "one").exists()
    with pytest.raises(DatasetError, match="removed since, by `headrace vacuum`"):
        DatasetVersion.open(str(root), 0)
    assert DatasetVersion.open(str(root)).rows("train") == 20
