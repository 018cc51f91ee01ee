"""Which source partitions a build processes: the lake as it is against the newest version."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import LakeError
from headrace.lake.build import FollowedJoin
from headrace.lake.source_partition import CrossPartitionDuplicate
from headrace.prepare.plan import Plan, find_returning_partitions, make_plan
from headrace.prepare.recipe_changes import find_changed_keys
from headrace.source.listing import Listing, get_folder
from tests.prepare.daily import (
    daily_recipe,
    day_of,
    remove_day,
    write_day,
    write_places,
)

DAYS = frozenset({"day=01", "day=02", "day=03"})


def planned(workdir: Path, *overrides: str, base: Any = None, **options: Any) -> Plan:
    return make_plan(daily_recipe(workdir, *overrides), base, **options)


def published(
    workdir: Path, *overrides: str, crossings: tuple[Any, ...] = (), joins: Any = None
) -> Any:
    """A version of the lake as it is now: what a plan reads of one."""
    plan = planned(workdir, *overrides)
    partitions = [SimpleNamespace(name=n, files=files) for n, files in plan.partitions.items()]
    build = SimpleNamespace(
        partitions=partitions,
        recipe=daily_recipe(workdir, *overrides).dump_resolved(),
        lookups=plan.list_lookup_files(),
        file_columns=plan.list_file_columns(),
        snapshots=plan.list_snapshots(),
        pruned=plan.pruned,
        crossings=crossings,
        joins=joins or {},
        erased=(),
    )
    return SimpleNamespace(build=build)


def test_the_first_build_processes_and_fits_everything(lake: Path) -> None:
    plan = planned(lake)
    assert (plan.processed, plan.refit, plan.why) == (DAYS, True, "the first build")
    assert plan.reused_version is None
    assert plan.retained == frozenset()
    assert plan.list_paths() is None  # the whole table
    assert [f.rows for f in plan.partitions["day=02"]] == [150]
    assert list(plan.lookups["places"].files) == ["part-0.parquet"]


def test_nothing_changed(lake: Path) -> None:
    plan = planned(lake, base=published(lake))
    assert plan.is_up_to_date
    assert plan.why == "nothing changed"


def test_new_changed_and_removed_partitions(lake: Path) -> None:
    base = published(lake)
    write_day(lake, 4)
    write_day(lake, 2, day_of(2, rows=10))
    remove_day(lake, 1)
    plan = planned(lake, base=base)
    assert plan.processed == {"day=02", "day=04"}
    assert plan.retained == {"day=03"}
    assert plan.removed == {"day=01"}
    assert plan.why == "source partitions: 1 new, 1 changed, 1 removed (day=04, day=02, day=01)"
    assert not plan.refit
    assert plan.reused_version is base
    assert plan.list_paths() == [f"day=0{n}/part-0.parquet" for n in (2, 4)]


@pytest.mark.parametrize(
    ("options", "processed", "refit", "why"),
    [
        ({"full": True}, DAYS, False, "asked for everything"),
        ({"refit": True}, DAYS, True, "asked to fit again"),
    ],
)
def test_what_is_asked_for_is_done(
    lake: Path, options: dict[str, bool], processed: frozenset[str], refit: bool, why: str
) -> None:
    plan = planned(lake, base=published(lake), **options)
    assert (plan.processed, plan.refit, plan.why) == (processed, refit, why)


def test_another_recipe_fits_again(lake: Path) -> None:
    plan = planned(lake, "features.x.kind=min_max", base=published(lake))
    assert (plan.refit, plan.why) == (True, "the recipe changed (features.x.kind)")


def test_a_joined_table_that_changed_processes_everything(lake: Path) -> None:
    base = published(lake)
    write_places(lake, height=7.0)
    plan = planned(lake, base=base)
    assert (plan.processed, plan.refit, plan.why) == (DAYS, False, "table places changed")


def test_the_bytes_that_are_read_are_those_of_the_processed_files(lake: Path) -> None:
    events = lake / "lake" / "events"
    days = sum((events / name / "part-0.parquet").stat().st_size for name in DAYS)
    places = (lake / "lake" / "places" / "part-0.parquet").stat().st_size
    assert planned(lake).count_bytes({"places"}) == days + places
    base = published(lake)
    write_day(lake, 4)
    day = (events / "day=04" / "part-0.parquet").stat().st_size
    assert planned(lake, base=base).count_bytes({"places"}) == day + places
    # A table whose files Spark alone knows may be of any size.
    assert planned(lake).count_bytes({"places", "unknown"}) is None
    assert replace(planned(lake), listing=None).count_bytes({"places"}) is None


def test_which_partitions_a_followed_table_concerns_is_found_later(lake: Path) -> None:
    joins = {"0:places": FollowedJoin(build_id="B", key_types=("string",))}
    base = published(lake, joins=joins)
    write_places(lake, height=7.0)
    write_day(lake, 4)
    plan = planned(lake, base=base)
    assert (plan.processed, plan.changed_lookups) == ({"day=04"}, ("places",))
    assert not plan.is_up_to_date
    for override in ("increments.by=table", "increments.refit=always"):
        assert not planned(lake, override, base=base).retained
    assert planned(lake, base=base, full=True).processed == DAYS | {"day=04"}


def test_losers_come_back_where_their_winner_goes(lake: Path) -> None:
    crossing = CrossPartitionDuplicate(loser="day=01", winner="day=03")
    base = published(lake, crossings=(crossing,))
    remove_day(lake, 3)
    plan = planned(lake, base=base)
    assert plan.processed == {"day=01"}
    assert find_returning_partitions([crossing], frozenset({"day=02"})) == frozenset()


def test_folders_that_a_condition_leaves_out_are_not_there(lake: Path) -> None:
    def find_pruned(listing: Listing) -> frozenset[str]:
        return frozenset(f for f in map(get_folder, listing.files) if f != "day=02")

    condition = "source.tables.events.partitions=day = 2"
    plan = planned(lake, condition, find_pruned=find_pruned)
    assert set(plan.partitions) == {"day=02"}
    assert plan.pruned_folders == {"day=01", "day=03"}
    assert plan.pruned
    assert plan.list_paths() == ["day=02/part-0.parquet"]
    # without it, the condition selects rows
    assert not planned(lake, condition).pruned
    with pytest.raises(LakeError, match=r"'events' at .* is empty: 0 rows where day = 2"):
        planned(lake, condition, find_pruned=lambda _: DAYS)


def test_a_plan_can_be_widened(lake: Path) -> None:
    plan = planned(lake, base=published(lake)).with_partitions(["day=03"])
    assert plan.processed == {"day=03"}
    assert plan.with_refit("drift").processed == DAYS
    assert plan.with_refit("drift").reused_version is None


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("file", {f"day=0{n}/part-0.parquet" for n in (1, 2, 3)}),
        ("table", {""}),
        ("[day]", DAYS),
    ],
)
def test_what_the_unit_is(lake: Path, by: str, names: set[str]) -> None:
    assert planned(lake, f"increments.by={by}").processed == names


def test_a_unit_that_no_folder_has_is_refused(lake: Path) -> None:
    with pytest.raises(LakeError, match=r"increments.by is week, and no folder .* like week=…"):
        planned(lake, "increments.by=[week]")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["train.epochs=7"], []),  # rows do not depend on it
        (["features.x.kind=min_max"], ["features.x.kind"]),
        (["dataset.keep=[x]"], ["dataset.keep"]),
        (["label.expression=not y", "split.seed=5"], ["label.expression", "split.seed"]),
    ],
)
def test_changed_keys(tmp_path: Path, overrides: list[str], expected: list[str]) -> None:
    before = daily_recipe(tmp_path).dump_resolved()
    assert find_changed_keys(before, daily_recipe(tmp_path, *overrides)) == expected


def test_a_recipe_that_cannot_be_read_has_changed(tmp_path: Path) -> None:
    assert find_changed_keys({"name": "x"}, daily_recipe(tmp_path)) == ["as a whole"]
