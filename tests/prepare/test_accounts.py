"""From the counts of tasks to ledgers and the profile."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headrace.columns.histogram import HistogramAxis
from headrace.lake.data_file import SPLITS, DataFile
from headrace.lake.profile import FileTally
from headrace.lake.source_partition import SourceFile
from headrace.prepare.accounts import account_for_partitions, build_profile, count_buckets
from headrace.prepare.assign import BASELINE_MISSING, LABEL_MISSING, Buckets
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.prepare.write.job import Written
from headrace.source.partition_index import PartitionIndex
from headrace.source.rules import Check
from headrace.transform.fit import FitInputs

CHECKS = (Check("range(x)", "quarantine"), Check("old", "drop"), Check("odd", "null"))
BUCKET = {name: i for i, name in enumerate(Buckets(CHECKS).names)}


def data_file(partition: str, split: str, rows: int) -> DataFile:
    return DataFile(
        path=f"{partition}-{split}", split=split, bytes=1, row_groups=(rows,), content="",
        partition=partition,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def counts() -> TaskCounts:
    """Of partition a 10 rows were read, of b 20."""
    counts = TaskCounts()
    counts.buckets.update(
        {
            (0, BUCKET["train"]): 5, (0, BUCKET["range(x)"]): 2, (0, BUCKET[LABEL_MISSING]): 1,
            (1, BUCKET["train"]): 9, (1, BUCKET["old"]): 4, (1, BUCKET[BASELINE_MISSING]): 1,
        }
    )  # fmt: skip
    counts.duplicates.update({0: 2, 1: 3})
    counts.violations.update({0: 2, 2: 6})
    counts.examples[0] = ["x: '-1' is below 0"]
    return counts


@pytest.fixture
def written() -> Written:
    files = [data_file("a", "train", 4), data_file("a", "test", 1), data_file("b", "train", 8)]
    return Written(files, [], unseen=Counter({"b": 1}))


def test_rows_of_every_bucket(counts: TaskCounts) -> None:
    buckets = count_buckets(counts, CHECKS)
    assert list(buckets)[:4] == ["train", "validation", "test", LABEL_MISSING]
    assert list(buckets)[-2:] == ["range(x)", "old"]  # rows that `null` touches stay
    assert (buckets["train"], buckets["range(x)"], buckets["validation"]) == (14, 2, 0)


def test_every_partition_has_a_ledger_that_adds_up(counts: TaskCounts, written: Written) -> None:
    files = (SourceFile(path="f", bytes=1, changed="1"),)
    plan: Any = SimpleNamespace(partitions={"a": files, "b": ()})
    raw: Any = SimpleNamespace(
        partition_index=PartitionIndex(("a", "b"), np.zeros(0), np.zeros(0)),
        read={"a": 10, "b": 20},
        excluded={"a": 0, "b": 2},
        erased={"a": 0, "b": 0},
    )
    a, b = account_for_partitions(plan, "build", raw, CHECKS, counts, written)
    assert (a.name, a.build_id, a.files) == ("a", "build", files)
    assert a.ledger.published == {"train": 4, "validation": 0, "test": 1}
    assert a.ledger.quarantined == {"range(x)": 2}
    assert a.ledger.duplicates == 2
    assert a.ledger.filtered == {LABEL_MISSING: 1, "old": 0}
    a.ledger.check_balance()
    assert b.ledger.filtered == {
        LABEL_MISSING: 0, BASELINE_MISSING: 1, "where of the main table": 2,
        "label class is not in the train split": 1, "old": 4,
    }  # fmt: skip
    assert b.ledger.accounted_rows == 8 + 3 + 8
    assert b.ledger.read - b.ledger.accounted_rows == 1  # a row is lost, and that shows


def test_the_profile_is_of_what_was_written(counts: TaskCounts, written: Written) -> None:
    axis = HistogramAxis("x", edges=(0.0, 1.0, 2.0), shown_edges=(0.0, 1.0, 2.0))
    tallies = [
        ("train", FileTally("train", {"x": np.array([3, 1])}, {"x": 0}, {"x": 1})),
        ("test", FileTally("test", {"x": np.array([0, 1])}, {"x": 0}, {"x": 0})),
        ("train", FileTally("train", {"x": np.array([4, 4])}, {"x": 0}, {"x": 2})),
    ]
    written = Written(written.files, tallies, written.unseen)
    profile = build_profile(FitInputs({"x": "real"}, {}, {}), (axis,), CHECKS, counts, written)
    (x,) = profile.distributions
    assert x.counts == {"train": (7, 5), "validation": (0, 0), "test": (0, 1)}
    assert profile.columns[0].missing == {"train": 3, "validation": 0, "test": 0}
    assert [(r.name, r.on_violation, r.rows) for r in profile.rules] == [
        ("range(x)", "quarantine", 2), ("old", "drop", 0), ("odd", "null", 6)
    ]  # fmt: skip
    assert profile.rules[0].examples == ("x: '-1' is below 0",)


class CountedFile(DataFile):
    """A data file that counts how often its partition is looked at."""

    def __getattribute__(self, name: str) -> Any:
        if name == "partition":
            LOOKS["files"] += 1
        return super().__getattribute__(name)


LOOKS: Counter[str] = Counter()


@pytest.mark.parametrize("partitions", [10, 20, 40])
def test_a_file_is_looked_at_once_however_many_partitions_there_are(partitions: int) -> None:
    names = tuple(f"day={i}" for i in range(partitions))
    files: list[DataFile] = [
        CountedFile(**data_file(name, split, 8).model_dump()) for name in names for split in SPLITS
    ]
    raw: Any = SimpleNamespace(
        partition_index=PartitionIndex(names, np.zeros(0), np.zeros(0)),
        read=dict.fromkeys(names, 24), excluded=dict.fromkeys(names, 0), erased={},
    )  # fmt: skip
    plan: Any = SimpleNamespace(partitions=dict.fromkeys(names, ()))
    LOOKS.clear()
    accounts = account_for_partitions(
        plan, "build", raw, CHECKS, TaskCounts(), Written(files, [], Counter())
    )
    assert LOOKS["files"] <= 2 * len(files)
    for partition in accounts:
        partition.ledger.check_balance()
