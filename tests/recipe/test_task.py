"""The identity of a task: what is part of it, and what of a split is known before a build."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.lake.task import describe_dataset_task
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.recipe.task import BOUNDARIES, Task, describe_task
from tests.tiny import tiny_tree

DAY = 86_400_000_000


def describe(**changed: Any) -> Task:
    return describe_task({**tiny_tree(), **changed})


def split_by(**time: Any) -> dict[str, Any]:
    return {"time": {"column": "day", **time}}


def test_dates_define_a_split_and_what_follows_from_rows_does_not() -> None:
    dates = describe(split=split_by(validation_from="1970-01-02", test_from="1970-01-03"))
    assert [dates.split[key] for key in BOUNDARIES] == [DAY, 2 * DAY]
    assert dates.is_split_by_definition
    for time in (
        {"validation_from": "-90 days", "test_from": "-30 days"},
        {"validation": 0.1, "test": 0.2},
    ):
        task = describe(split=split_by(**time))
        assert not task.is_split_by_definition
        assert task.find_differences(dates, ("split",))
    other = describe(split=split_by(validation=0.1, test=0.1))
    (text,) = task.find_differences(other, ("split",))
    assert "'the newest 0.2 of rows are test' and 'the newest 0.1 of rows are test'" in text


@pytest.mark.parametrize("time", [{"validation": 0.1, "test": 0.2}, {"validation_from": "-9 days"}])
def test_a_version_has_the_boundaries_that_were_resolved(time: dict[str, Any]) -> None:
    tree = tiny_tree()
    boundaries = TimeBoundaries(validation_from=DAY, test_from=3 * DAY, newest=4 * DAY)
    build = SimpleNamespace(
        recipe={**tree, "split": split_by(**time)}, key_definition=2, key_types={},
        time_boundaries=boundaries,
    )  # fmt: skip
    transform = '{"label": {"kind": "binary", "classes": []}, "raw": []}'
    task = describe_dataset_task(SimpleNamespace(build=build, transform_json=transform))  # type: ignore[arg-type]
    assert task is not None
    assert [task.split[key] for key in BOUNDARIES] == [DAY, 3 * DAY]
    assert task.is_split_by_definition


def test_the_label_is_the_same_however_it_is_written() -> None:
    tree = tiny_tree()
    label = {**tree["label"], "expression": "late  -- a comment\n AND TRUE"}
    same = {**tree["label"], "expression": "late and true"}
    assert describe(label=label).label == describe(label=same).label
    for expression in ("late and false", "LATE and true"):  # a table may have both columns
        other = {**tree["label"], "expression": expression}
        assert describe(label=other).find_differences(describe(label=same), ("label",))
