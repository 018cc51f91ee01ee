"""What decides the split of a version's rows: from the record, of any form."""

from pathlib import Path
from typing import Any

import pytest

from headrace.errors import DamagedError
from headrace.lake.build import Build
from headrace.lake.split_definition import (
    describe_split,
    list_split_values,
    read_split_definition,
)
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.recipe.times import parse_time_to_micros
from tests.lake.building import make_build

NEWEST = parse_time_to_micros("2026-06-30T06:00")
RESOLVED = TimeBoundaries(
    validation_from=parse_time_to_micros("2026-04-01T06:00"),
    test_from=parse_time_to_micros("2026-05-31T06:00"),
    newest=NEWEST,
)


def build_of(folder: Path, split: Any, **changes: Any) -> Build:
    recipe = {"name": "by_hand", "split": split}
    return make_build(folder, "one").model_copy(update={"recipe": recipe, **changes})


def test_a_key(tmp_path: Path) -> None:
    fractions = {"train": 0.7, "validation": 0.2, "test": 0.1}
    build = build_of(tmp_path, {"key": ["day"], "fractions": fractions, "seed": 3, "time": None})
    assert list_split_values(build) == {
        "kind": "key", "key": ["day"], "fractions": fractions, "seed": 3, "key_definition": 1,
        "column": None, "validation_from": None, "test_from": None, "newest": None,
    }  # fmt: skip
    assert describe_split(build) == ["by the key day (train 0.7, validation 0.2, test 0.1), seed 3"]
    other = build_of(tmp_path, {"key": ["day"], "fractions": fractions, "seed": 4})
    assert read_split_definition(build) != read_split_definition(other)


def test_dates_as_an_older_record_has_them(tmp_path: Path) -> None:
    time = {"column": "at", "validation_from": "2026-04-01", "test_from": "2026-05-31T06:00+06:00"}
    build = build_of(tmp_path, {"key": None, "time": time, "seed": 7})
    assert list_split_values(build) == {
        "kind": "time", "key": [], "fractions": {}, "seed": None, "key_definition": None,
        "column": "at", "validation_from": "2026-04-01T00:00:00Z",
        "test_from": "2026-05-31T00:00:00Z", "newest": None,
    }  # fmt: skip
    assert len(describe_split(build)) == 1


def test_distances_are_what_they_became(tmp_path: Path) -> None:
    time = {"column": "at", "validation_from": "-90 days", "test_from": "-30 days"}
    build = build_of(tmp_path, {"time": time}, time_boundaries=RESOLVED, transform_of="zero")
    dates = {**time, "validation_from": "2026-04-01T06:00", "test_from": "2026-05-31T06:00"}
    assert read_split_definition(build) == read_split_definition(
        build_of(tmp_path, {"time": dates})
    )
    assert describe_split(build) == [
        "by at: validation from 2026-04-01T06:00:00Z, test from 2026-05-31T06:00:00Z",
        "from validation_from: -90 days, test_from: -30 days; newest row 2026-06-30T06:00:00Z when "
        "build zero fitted the transform; a refit moves it on",
    ]
    assert (list_split_values(build) or {})["newest"] == "2026-06-30T06:00:00Z"
    assert '"test_from": "2026-05-31T06:00:00Z"' in build.ledger_to_json()


@pytest.mark.parametrize(
    "split",
    [
        None,
        {"key": 7},
        {"time": {"column": "at", "validation_from": "-90 days", "test_from": "-30 days"}},
        {"time": {"column": "at", "validation": 0.1, "test": 0.1}},
    ],
)
def test_a_record_without_a_split_is_damaged(tmp_path: Path, split: Any) -> None:
    build = build_of(tmp_path, split)
    with pytest.raises(DamagedError, match="the record of build one is damaged"):
        read_split_definition(build)
    assert list_split_values(build) is None
    assert describe_split(build)
