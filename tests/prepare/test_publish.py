"""What is not published: a version without rows to train on, and rows that are unaccounted for."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headrace.errors import LakeError, LedgerError
from headrace.lake.data_file import DataFile
from headrace.prepare.assign import Buckets
from headrace.prepare.attempt import Attempt, StepTimer
from headrace.prepare.lookups import FollowedLookups
from headrace.prepare.publish import publish_retained, publish_rows
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.prepare.write.job import Written
from headrace.progress import ignore_progress
from headrace.source.partition_index import PartitionIndex
from headrace.source.rules import Check
from tests.tiny import tiny_recipe, write_tiny_lake

CHECKS = (Check("range(x)", "quarantine"),)


def attempt(workdir: Path) -> Attempt:
    write_tiny_lake(workdir / "lake")
    return Attempt(
        recipe=tiny_recipe(workdir), root=str(workdir / "dataset"), build_id="B",
        idempotency_id=None, base_version=None, started_at=datetime(2020, 1, 1, tzinfo=UTC),
        timer=StepTimer(), report=ignore_progress,
    )  # fmt: skip


def data_file(partition: str, split: str) -> DataFile:
    return DataFile(
        path=f"{partition}-{split}", split=split, bytes=1, row_groups=(4,), content="",
        partition=partition,
    )  # type: ignore[arg-type]  # fmt: skip


def publish(job: Attempt, buckets: dict[str, int], files: list[DataFile]) -> int:
    """Publish what was written of the 10 rows of one source partition."""
    counts = TaskCounts()
    numbers = {name: i for i, name in enumerate(Buckets(CHECKS).names)}
    counts.buckets.update({(0, numbers[name]): rows for name, rows in buckets.items()})
    plan: Any = SimpleNamespace(
        base=None, refit=True, retained=frozenset(), partitions={"": ()}, processed={""},
        partitioning="table", lookups={}, pruned_folders=frozenset(), listing=None,
        pruned=None,
    )  # fmt: skip
    raw: Any = SimpleNamespace(
        partition_index=PartitionIndex(("",), np.zeros(0), np.zeros(0)),
        read={"": 10}, excluded={"": 0}, erased={}, rows_read=10,
    )  # fmt: skip
    built: Any = SimpleNamespace(
        checks=CHECKS,
        fitted=SimpleNamespace(counts=counts),
        written=Written(files, [], unseen=Counter()),
    )
    return publish_rows(job, plan, raw, built, FollowedLookups())


def test_a_row_that_is_in_no_bucket(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="10"):
        publish(attempt(tmp_path), {"range(x)": 5}, [data_file("", "train")])
    assert not (tmp_path / "dataset").exists()


def test_a_version_has_rows_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(
        LakeError, match=r"^no row of table 'visits' is left to train on, of 10 that were read: .*6"
    ):
        publish(attempt(tmp_path), {"range(x)": 6}, [data_file("", "test")])
    assert not (tmp_path / "dataset").exists()


def test_a_version_without_the_partitions_that_are_gone_has_some_as_well(tmp_path: Path) -> None:
    files = (data_file("day=1", "train"), data_file("day=2", "test"))
    plan: Any = SimpleNamespace(
        base=SimpleNamespace(build=SimpleNamespace(files=files)),
        retained=frozenset({"day=2"}),
        removed=frozenset({"day=1", "day=0"}),
        has_rewritten_files=False,
    )
    with pytest.raises(
        LakeError,
        match=r"^source partitions are gone \(day=0, day=1\), and without them the dataset has no",
    ):
        publish_retained(attempt(tmp_path), plan, FollowedLookups())
