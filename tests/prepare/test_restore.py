"""An earlier version comes back as the newest, and increments go on from there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.errors import DatasetError
from headrace.lake import DatasetVersion
from headrace.lake.history import list_versions
from headrace.lake.vacuum import vacuum_dataset
from headrace.prepare.restore import restore_version
from tests.prepare.daily import (
    assert_same_rows,
    build,
    list_processed,
    rebuild,
    remove_day,
    write_day,
)

pytestmark = pytest.mark.spark


def test_increments_go_on_from_a_version_that_came_back(lake: Path) -> None:
    first = build(lake).dataset
    write_day(lake, 4)
    second = build(lake).dataset
    remove_day(lake, 1)
    build(lake)
    back = restore_version(first.root, first.version)
    assert (back.version, back.build.restored) == (3, first.version)
    assert back.digest == first.digest
    assert back.build.ledger == first.build.ledger
    assert back.profile == first.profile
    found, before = back.read_raw_examples(), first.read_raw_examples()
    assert found is not None
    assert found.equals(before)
    assert DatasetVersion.open(first.root).version == 3
    assert [v.summary.restored for v in list_versions(first.root) if v.summary] == [
        None, None, None, 0
    ]  # fmt: skip
    third = build(lake)
    assert list_processed(third) == {"day=04"}
    assert third.why == "source partitions: 1 new, 1 removed (day=04, day=01)"
    assert_same_rows(third.dataset, rebuild(lake, third.dataset))
    assert DatasetVersion.open(first.root, second.version).digest == second.digest


@pytest.mark.long
def test_a_version_of_another_transform_comes_back(lake: Path) -> None:
    first = build(lake).dataset
    other = build(lake, "features={x: {kind: min_max}}").dataset
    assert other.build.transform_digest != first.build.transform_digest
    back = restore_version(first.root, first.version)
    assert back.digest == first.digest
    assert back.column_types == first.column_types
    assert not build(lake).published  # the recipe of that version, and nothing changed
    again = restore_version(first.root, other.version)
    assert again.digest == other.digest


@pytest.mark.long
def test_what_came_back_outlives_its_version(lake: Path) -> None:
    first = build(lake).dataset
    write_day(lake, 4)
    build(lake)
    back = restore_version(first.root, first.version)
    gone = vacuum_dataset(
        first.root, keep=timedelta(), leftovers_after=timedelta(days=1),
        now=datetime.now(UTC) + timedelta(days=9), dry_run=False,
    )  # fmt: skip
    assert gone.versions == (0, 1)
    opened = DatasetVersion.open(first.root)
    assert opened.digest == back.digest
    assert opened.profile == back.profile
    write_day(lake, 5)
    done = build(lake)
    assert list_processed(done) == {"day=04", "day=05"}
    assert_same_rows(done.dataset, rebuild(lake, done.dataset))
    with pytest.raises(DatasetError, match=r"build.json is missing; .* removed since"):
        restore_version(first.root, 1)


def test_versions_that_cannot_come_back(lake: Path) -> None:
    first = build(lake).dataset
    with pytest.raises(DatasetError, match="version 0 is the newest; there is nothing to restore"):
        restore_version(first.root, 0)
    with pytest.raises(DatasetError, match="has no version 7"):
        restore_version(first.root, 7)
    write_day(lake, 1)
    write_day(lake, 4)
    build(lake)
    lost = first.build.files[0].path
    (Path(first.root) / lost).unlink()
    with pytest.raises(DatasetError, match=rf"version 0 cannot come back: {lost} is missing here,"):
        restore_version(first.root, 0)
    assert DatasetVersion.open(first.root).version == 1
