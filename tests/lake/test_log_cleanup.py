"""The log is shortened to a checkpoint that every kept version can be read from, and no further."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from headrace.errors import DamagedError, RemovedError
from headrace.lake import DatasetVersion, log_checkpoint, log_cleanup
from headrace.lake.erase import strip_log_statistics
from headrace.lake.history import list_versions
from headrace.lake.log_cleanup import LogCleanup, clean_log, plan_log_cleanup
from tests.lake.nights import make_id, publish_night

NIGHTS = 12


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve nights, and checkpoints of versions 3 and 7 alone."""
    monkeypatch.setattr(log_checkpoint, "LEAST_COMMITS", 100)
    for night in range(NIGHTS):
        publish_night(tmp_path, night)
    for version in (3, 7):
        DeltaTable(str(tmp_path), version=version).create_checkpoint()
    return tmp_path


def list_log(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "_delta_log").iterdir())


@pytest.mark.parametrize(("oldest", "checkpoint"), [(3, 3), (6, 3), (7, 7), (11, 7)])
def test_what_is_before_the_newest_checkpoint_that_will_do_goes(
    root: Path, oldest: int, checkpoint: int
) -> None:
    plan = plan_log_cleanup(str(root), oldest)
    assert (plan.checkpoint, plan.is_missing) == (checkpoint, False)
    names = {file.removeprefix("_delta_log/") for file in plan.files}
    assert {int(name[:20]) for name in names} == set(range(checkpoint))
    before = set(list_log(root))
    clean_log(str(root), plan)
    assert set(list_log(root)) == before - names
    for version in range(oldest, NIGHTS):
        dataset = DatasetVersion.open(str(root), version)
        assert (dataset.build.build_id, len(dataset.build.files)) == (make_id(version), version + 1)
        assert DeltaTable(str(root), version=version).count() == 5 * (version + 1)
    assert [entry.version for entry in list_versions(str(root))] == [*range(checkpoint, NIGHTS)]
    with pytest.raises(RemovedError, match=rf"version 0 was removed since.* has is {checkpoint};"):
        DatasetVersion.open(str(root), 0)
    publish_night(root, NIGHTS)
    assert DatasetVersion.open(str(root)).version == NIGHTS
    assert plan_log_cleanup(str(root), oldest).files == ()


@pytest.mark.parametrize("oldest", [0, 2])
def test_nothing_goes_without_a_checkpoint_that_will_do(root: Path, oldest: int) -> None:
    assert plan_log_cleanup(str(root), oldest) == LogCleanup(None, False, ())


def test_a_checkpoint_is_written_where_many_commits_lie_before(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_cleanup, "CHECKPOINT_INTERVAL", 3)
    assert plan_log_cleanup(str(root), 10).checkpoint == 7  # three behind
    plan = plan_log_cleanup(str(root), 11)
    assert (plan.checkpoint, plan.is_missing) == (11, True)
    clean_log(str(root), plan)
    assert list_log(root) == [
        f"{11:020d}.checkpoint.parquet", f"{11:020d}.json", "_last_checkpoint",
    ]  # fmt: skip
    assert json.loads((root / "_delta_log" / "_last_checkpoint").read_text())["version"] == 11
    assert DatasetVersion.open(str(root)).count_rows("train") == 5 * NIGHTS


def test_a_checkpoint_that_readers_do_not_start_at_is_none_to_go_by(root: Path) -> None:
    """As one that was written by hand, or whose writer died before it was named."""
    (root / "_delta_log" / "_last_checkpoint").write_text('{"version":3,"size":1}')
    assert plan_log_cleanup(str(root), 11).checkpoint == 3
    (root / "_delta_log" / "_last_checkpoint").unlink()
    assert plan_log_cleanup(str(root), 11).files == ()


def test_nothing_goes_for_a_checkpoint_that_is_damaged(root: Path) -> None:
    path = root / "_delta_log" / f"{7:020d}.checkpoint.parquet"
    table = pq.read_table(path)
    before = list_log(root)
    pq.write_table(table.slice(0, 0), path)
    with pytest.raises(DamagedError, match=r"checkpoint of version 7 .*nothing of the log"):
        clean_log(str(root), plan_log_cleanup(str(root), 9))
    path.write_bytes(b"PAR1")
    with pytest.raises(DamagedError, match=r"checkpoint of version 7"):
        clean_log(str(root), plan_log_cleanup(str(root), 9))
    assert list_log(root) == before


def test_a_log_of_which_a_part_went_is_a_log(root: Path) -> None:
    """Whoever cleans up dies after some files."""
    plan = plan_log_cleanup(str(root), 9)
    clean_log(str(root), LogCleanup(plan.checkpoint, False, plan.files[:4]))
    assert DatasetVersion.open(str(root)).version == NIGHTS - 1
    assert DatasetVersion.open(str(root), 9).version == 9
    clean_log(str(root), plan)
    assert DatasetVersion.open(str(root), 9).version == 9


def test_who_erases_has_a_shortened_log_begin_at_the_newest_version(root: Path) -> None:
    """The checkpoint that it begins with else has the bounds of files that are gone."""
    clean_log(str(root), plan_log_cleanup(str(root), 9))
    current = {file.path for file in DatasetVersion.open(str(root)).build.files}
    changed = strip_log_statistics(str(root), current)
    assert f"_delta_log/{7:020d}.checkpoint.parquet" in changed
    assert list_log(root) == [
        f"{11:020d}.checkpoint.parquet", f"{11:020d}.json", "_last_checkpoint",
    ]  # fmt: skip
    assert DatasetVersion.open(str(root)).count_rows("train") == 5 * NIGHTS
    assert plan_log_cleanup(str(root), NIGHTS - 1, now=True).files == ()
