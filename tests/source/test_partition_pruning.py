"""A condition on partitions that moves on with the calendar: what came and went is processed."""

from pathlib import Path

import pytest

from headrace.errors import LakeError
from tests.prepare.daily import (
    assert_same_rows,
    build,
    day_of,
    list_processed,
    rebuild,
    remove_day,
    write_day,
    write_places,
)

pytestmark = pytest.mark.spark


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_places(tmp_path)
    for day in (1, 2, 3, 4):
        write_day(tmp_path, day)
    return tmp_path


def until(condition: str) -> str:
    return f"source.tables.events.partitions={condition}"


def names(prepared) -> set[str]:  # type: ignore[no-untyped-def]
    return {p.name for p in prepared.dataset.build.partitions}


def test_a_condition_that_moves_on_reads_what_it_adds(lake: Path) -> None:
    first = build(lake, until("day <= 2"))
    assert names(first) == {"day=01", "day=02"}
    assert first.dataset.build.ledger.read == 300
    second = build(lake, until("day <= 3"))
    assert (second.published, list_processed(second)) == (True, {"day=03"})
    assert second.why == "source partitions: 1 new (day=03)"
    assert second.dataset.transform_json == first.dataset.transform_json
    assert_same_rows(second.dataset, rebuild(lake, second.dataset, until("day <= 3")))
    # said in other words, and then not at all
    same = build(lake, until("day < 4"))
    assert (same.published, same.why) == (False, "nothing changed")
    everything = build(lake)
    assert list_processed(everything) == {"day=04"}
    assert_same_rows(everything.dataset, rebuild(lake, everything.dataset))


def test_a_condition_that_moves_back_takes_back(lake: Path) -> None:
    build(lake)
    prepared = build(lake, until("day >= 2"))
    assert (prepared.published, list_processed(prepared)) == (True, set())
    assert names(prepared) == {"day=02", "day=03", "day=04"}
    assert prepared.dataset.build.recipe["source"]["tables"]["events"]["partitions"] == "day >= 2"
    assert_same_rows(prepared.dataset, rebuild(lake, prepared.dataset, until("day >= 2")))
    moved = build(lake, until("day = 1 or day = 3"))
    assert (list_processed(moved), names(moved)) == ({"day=01"}, {"day=01", "day=03"})


def test_what_is_left_out_is_not_looked_at(lake: Path) -> None:
    build(lake, until("day <= 2"))
    write_day(lake, 3, day_of(3, at=5))
    write_day(lake, 5)
    remove_day(lake, 4)
    assert not build(lake, until("day <= 2")).published
    write_day(lake, 2, day_of(2, at=5))
    assert list_processed(build(lake, until("day <= 2"))) == {"day=02"}


def test_a_whole_table_is_read_without_what_is_left_out(lake: Path) -> None:
    by = "increments.by=table"
    first = build(lake, until("day <= 2"), by)
    assert first.dataset.build.ledger.read == 300
    assert not build(lake, until("day <= 2"), by).published
    second = build(lake, until("day <= 3"), by)
    assert second.dataset.build.ledger.read == 450
    assert second.dataset.transform_json == first.dataset.transform_json


def test_a_folder_without_a_value_is_null_to_the_condition(lake: Path) -> None:
    events = lake / "lake" / "events"
    (events / "day=04").rename(events / "day=__HIVE_DEFAULT_PARTITION__")
    prepared = build(lake, until("day is null or day = '02'"))
    assert names(prepared) == {"day=02", "day=__HIVE_DEFAULT_PARTITION__"}
    assert prepared.dataset.build.ledger.read == 300


def test_a_condition_that_selects_nothing_is_an_error(lake: Path) -> None:
    with pytest.raises(LakeError, match=r"'events' at .* is empty: 0 rows where day > 9"):
        build(lake, until("day > 9"))
    first = build(lake)
    with pytest.raises(LakeError, match="0 rows where day > 9"):
        build(lake, until("day > 9"))
    assert not build(lake).published
    assert first.dataset.version == 0
