"""Files that are not what was read."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.changed_files import refuse_changed_partitions, refuse_changed_table
from headrace.source.list_table import list_table
from headrace.source.listing import get_folder, group_by_partition
from tests.prepare.daily import day_of, write_day


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    for day in (1, 2, 3):
        write_day(tmp_path, day, day_of(day, rows=5))
    return tmp_path


def events(lake: Path) -> Table:
    return Table(path=f"{lake}/lake/events")


def plan_of(lake: Path, *processed: str) -> Any:
    """A plan that reads some days, of the lake as it is now."""
    listing = list_table(events(lake), {})
    assert listing is not None
    return SimpleNamespace(
        listing=listing,
        partitioning="partition",
        partitions=group_by_partition(listing, "partition"),
        processed=frozenset(processed),
    )


def check(lake: Path, plan: Any, **options: Any) -> None:
    refuse_changed_partitions("events", events(lake), plan, **options)


def test_the_same_files_pass_whatever_became_of_others(lake: Path) -> None:
    plan = plan_of(lake, "day=01", "day=02")
    check(lake, plan)
    write_day(lake, 3, day_of(3, rows=7))
    write_day(lake, 4)
    check(lake, plan)


@pytest.mark.parametrize("change", ["rewritten", "touched", "removed"])
@pytest.mark.parametrize("new_files", [True, False])
def test_a_file_that_changed_or_went_is_named(lake: Path, change: str, new_files: bool) -> None:
    plan = plan_of(lake, "day=01", "day=02")
    file = lake / "lake" / "events" / "day=02" / "part-0.parquet"
    if change == "rewritten":
        write_day(lake, 2, day_of(2, rows=9))
    elif change == "touched":
        os.utime(file, ns=(1, 1))
    else:
        file.unlink()
    with pytest.raises(LakeError, match=r"'events': day=02/part-0\.parquet changed while") as e:
        check(lake, plan, new_files=new_files)
    assert "Nothing was published" in str(e.value)


def test_a_new_file_is_a_change_where_nobody_reads_it_later(lake: Path) -> None:
    plan = plan_of(lake, "day=01")
    source = lake / "lake" / "events" / "day=01" / "part-0.parquet"
    (source.parent / "part-1.parquet").write_bytes(source.read_bytes())
    with pytest.raises(LakeError, match=r"day=01/part-1\.parquet"):
        check(lake, plan)
    check(lake, plan, new_files=False)


def test_pruned_folders_and_tables_of_the_catalog_are_not_looked_at(lake: Path) -> None:
    plan = plan_of(lake, "day=01")
    pruned = {get_folder(path) for path in plan.listing.files} - {"day=01"}
    plan.listing = plan.listing.without_folders(frozenset(pruned))
    check(lake, plan, pruned_folders=frozenset(pruned))
    plan.listing = None
    check(lake, plan)


def test_a_whole_table(lake: Path) -> None:
    table = events(lake)
    listing = list_table(table, {})
    assert listing is not None
    refuse_changed_table("places", table, listing)
    write_day(lake, 4)
    with pytest.raises(LakeError, match="table 'places': its files changed while"):
        refuse_changed_table("places", table, listing)
    with pytest.raises(LakeError, match="there is nothing at"):
        refuse_changed_table("places", Table(path=f"{lake}/nothing"), listing)
