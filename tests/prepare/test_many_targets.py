"""Many targets: rows pass through buckets, and the dataset is the same bit for bit."""

from pathlib import Path

import pytest

from headrace.lake import DatasetVersion
from headrace.prepare.shuffle import partitioner
from tests.prepare.daily import build, day_of, list_processed, write_day

pytestmark = pytest.mark.spark

SMALL = ("dataset.rows_per_file=10", "dataset.rows_per_row_group=5")


def digest(dataset: DatasetVersion) -> tuple[object, ...]:
    files = [
        (f.split, f.partition, f.row_groups, f.content)
        for split in ("train", "validation", "test")
        for f in dataset.list_files(split)
    ]
    return (files, dataset.build.ledger, dataset.build.crossings, dataset.transform_json)


@pytest.mark.long
def test_rows_that_pass_through_buckets_are_published_the_same(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second build also compares keys with those of three days that it does not read."""
    straight = [build(lake, *SMALL, "dataset.path=${workdir}/straight")]
    monkeypatch.setattr(partitioner, "_TARGETS_AT_ONCE", 4)
    monkeypatch.setattr(partitioner, "_BUCKETS", 3)
    assert partitioner.Partitioner.for_rows([147] * 3, 10, row_bytes=30).buckets == 5
    bucketed = [build(lake, *SMALL, "dataset.path=${workdir}/bucketed")]
    write_day(lake, 4, day_of(4), day_of(4, rows=20, first=1010, at=1))
    bucketed.append(build(lake, *SMALL, "dataset.path=${workdir}/bucketed"))
    monkeypatch.undo()
    straight.append(build(lake, *SMALL, "dataset.path=${workdir}/straight"))
    for one, other in zip(straight, bucketed, strict=True):
        assert digest(one.dataset) == digest(other.dataset)
    assert list_processed(bucketed[1]) == {"day=01", "day=04"}
