"""Increments on a dataset that was optimized end where they end on one that never was."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from headrace.columns.person_key import PersonKey
from headrace.lake import DatasetVersion
from headrace.lake.data_file import SPLITS
from headrace.lake.vacuum import vacuum_dataset
from headrace.prepare.optimize import Optimized, optimize_dataset
from headrace.prepare.restore import restore_version
from headrace.progress import ignore_progress
from tests.prepare.daily import (
    build,
    day_of,
    list_processed,
    read_rows,
    remove_day,
    write_day,
    write_places,
)
from tests.prepare.test_random_increments import some_day

pytestmark = pytest.mark.spark

STEPS = 6


def optimize(root: str) -> Optimized:
    now = datetime.now(UTC) + timedelta(days=1)
    return optimize_dataset(
        root, older_than=timedelta(0), now=now, dry_run=False, report=ignore_progress
    )


def vacuum(root: str) -> None:
    now = datetime.now(UTC) + timedelta(days=9)
    vacuum_dataset(
        root, keep=timedelta(), leftovers_after=timedelta(days=1), now=now, dry_run=False
    )


def list_row_ids(dataset: DatasetVersion) -> dict[str, list[int]]:
    """Return the row ids of each split in the canonical order."""
    return {
        split: dataset.read_columns(split, ["row_id"])["row_id"].to_pylist()
        for split in SPLITS
        if dataset.count_rows(split)
    }


def assert_same(optimized: DatasetVersion, plain: DatasetVersion) -> None:
    """Compare all that a version is but for its files."""
    pd.testing.assert_frame_equal(read_rows(optimized), read_rows(plain))
    assert list_row_ids(optimized) == list_row_ids(plain)
    one, other = optimized.build, plain.build
    assert one.ledger == other.ledger
    assert [(p.name, p.ledger) for p in one.partitions] == [
        (p.name, p.ledger) for p in other.partitions
    ]
    assert one.crossings == other.crossings
    assert one.transform_digest == other.transform_digest
    assert optimized.profile == plain.profile


def test_partitions_of_merged_files_are_replaced_and_removed(lake: Path) -> None:
    plain, merged = (f"dataset.path={lake / name}" for name in ("plain", "merged"))
    build(lake, plain)
    shutil.copytree(lake / "plain", lake / "merged")
    done = optimize(str(lake / "merged"))
    assert (done.published, done.files, done.files_now) == (True, 18, 6)
    assert not optimize(str(lake / "merged")).published
    assert not build(lake, merged).published  # nothing of the lake changed
    assert_same(done.dataset, DatasetVersion.open(str(lake / "plain")))
    write_day(lake, 2, day_of(2, rows=60, at=1))
    remove_day(lake, 1)
    write_day(lake, 4, day_of(4, rows=20, first=3000))  # later keys of the third day win
    one, other = build(lake, merged), build(lake, plain)
    assert list_processed(one) == list_processed(other) == {"day=02", "day=03", "day=04"}
    assert_same(one.dataset, other.dataset)
    assert one.dataset.build.drift == other.dataset.build.drift


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_between_it_ends_in_the_same_rows(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    write_places(tmp_path)
    days = {1, 2, 3, 4, 5}
    for day in days:
        write_day(tmp_path, day, *some_day(rng, day))
    size = f"dataset.rows_per_file={rng.choice([30, 100, 1000])}"
    groups = f"dataset.rows_per_row_group={rng.choice([7, 30])}"
    plain, merged = (f"dataset.path={tmp_path / name}" for name in ("plain", "merged"))
    other = build(tmp_path, plain, size, groups).dataset
    shutil.copytree(tmp_path / "plain", tmp_path / "merged")
    one = optimize(str(tmp_path / "merged")).dataset
    pairs = [(one, other)]
    for step in range(STEPS):
        assert_same(one, other)
        kind = rng.choice(["new", "corrected", "corrected", "removed", "erased", "restored"])
        if kind == "restored" and len(pairs) > 1:
            index = rng.randrange(len(pairs) - 1)
            one, other = (restore_version(v.root, v.version) for v in pairs[index])
        elif kind == "erased":
            person = PersonKey({"event": str(100 + rng.randrange(30))})
            one, other = (build(tmp_path, path, size, groups, erase=person).dataset
                          for path in (merged, plain))  # fmt: skip
        else:
            if kind == "removed" and len(days) > 3:
                day = rng.choice(sorted(days))
                remove_day(tmp_path, day)
                days.remove(day)
            else:
                day = rng.choice(sorted(days)) if kind == "corrected" else max(days) + 1
                write_day(tmp_path, day, *some_day(rng, day), file=f"step-{step}")
                days.add(day)
            one, other = (build(tmp_path, path, size, groups).dataset for path in (merged, plain))
        assert_same(one, other)
        pairs.append((one, other))
        if rng.random() < 0.6:
            one = optimize(one.root).dataset
            pairs[-1] = (one, other)
        if rng.random() < 0.3:
            vacuum(one.root)
            vacuum(other.root)
            pairs = pairs[-1:]
    for path in (merged, plain):  # all rows anew, by the transform of each
        build(tmp_path, path, size, groups, full=True)
    assert_same(*(DatasetVersion.open(str(tmp_path / name)) for name in ("merged", "plain")))
