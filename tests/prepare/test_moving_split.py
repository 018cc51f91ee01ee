"""A split whose boundaries follow from the newest row: resolved, kept by increments, moved on."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from headrace.commands.dataset_lines import format_dataset
from headrace.errors import LakeError
from headrace.lake import DatasetVersion
from headrace.lake.split_definition import read_split_definition
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.prepare.clean import clean_rows
from headrace.prepare.plan import make_plan
from headrace.recipe.times import format_micros
from headrace.source.read import read_raw
from tests.prepare.daily import (
    assert_same_rows,
    build,
    day_of,
    list_processed,
    read_rows,
    rebuild,
    write_day,
    write_places,
)
from tests.tiny import tiny_recipe

pytestmark = pytest.mark.spark

DISTANCES = "split={time: {column: date, validation_from: -3 days, test_from: -1 day}}"
SHARES = "split={time: {column: date, validation: 0.2, test: 0.3}}"


def write_days(workdir: Path, *days: int) -> None:
    for day in days:
        dates = pa.array([date(2026, 1, day)] * 150)
        write_day(workdir, day, day_of(day).append_column("date", dates))


def days_by_split(dataset: DatasetVersion) -> dict[str, list[int]]:
    rows = read_rows(dataset)
    assert dataset.build.ledger.published == rows["split"].value_counts().to_dict()
    days = rows["kept_date"].map(lambda value: pd.Timestamp(value).day)
    return {split: sorted({*days[rows["split"] == split]}) for split in rows["split"].unique()}


def test_boundaries_stay_until_a_refit_moves_them_on(tmp_path: Path) -> None:
    write_places(tmp_path)
    write_days(tmp_path, *range(1, 7))
    overrides = (DISTANCES, "dataset.keep=[date]")
    first = build(tmp_path, *overrides).dataset
    assert days_by_split(first) == {"train": [1, 2], "validation": [3, 4], "test": [5, 6]}
    definition = read_split_definition(first.build)
    assert (definition.validation_from, definition.test_from) == (
        "2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z",
    )  # fmt: skip
    assert json.loads(first.read_text("ledger.json"))["time_boundaries"] == {
        "validation_from": "2026-01-03T00:00:00Z",
        "test_from": "2026-01-05T00:00:00Z",
        "newest": "2026-01-06T00:00:00Z",
    }
    said = "from validation_from: -3 days, test_from: -1 day; newest row 2026-01-06T00:00:00Z when"
    assert said in first.read_text("report.html")
    assert any(said in line for line in format_dataset(first))
    # Increments use them, and a build of all rows by the same transform does.
    write_days(tmp_path, 7, 8)
    second = build(tmp_path, *overrides)
    assert list_processed(second) == {"day=07", "day=08"}
    assert days_by_split(second.dataset)["test"] == [5, 6, 7, 8]
    assert second.dataset.build.time_boundaries == first.build.time_boundaries
    assert_same_rows(second.dataset, rebuild(tmp_path, second.dataset, *overrides))
    # They would lie elsewhere now, but nothing changed.
    again = build(tmp_path, *overrides)
    assert (again.published, again.why) == (False, "nothing changed")
    moved = build(tmp_path, *overrides, refit=True).dataset
    assert days_by_split(moved) == {"train": [1, 2, 3, 4], "validation": [5, 6], "test": [7, 8]}
    # The same lake has the same boundaries; another distance is another split.
    same = build(tmp_path, *overrides, f"dataset.path={tmp_path}/other").dataset
    assert same.digest == moved.digest
    assert same.build.time_boundaries == moved.build.time_boundaries
    other = build(tmp_path, DISTANCES.replace("-3", "-2"), "dataset.keep=[date]")
    assert other.why == "the recipe changed (split.time.validation_from)"
    assert days_by_split(other.dataset)["validation"] == [6]


def test_shares_are_counted_on_what_is_published(tmp_path: Path) -> None:
    write_places(tmp_path)
    write_days(tmp_path, *range(1, 11))
    # Rows of which others of the same key stay: without them the shares are those of ten days.
    old = pc.subtract(day_of(1)["at"], 1)
    twice = day_of(1).set_column(1, "at", old).append_column("date", [[date(2026, 1, 10)] * 150])
    write_day(tmp_path, 11, twice, twice, twice)
    first = build(tmp_path, SHARES, "dataset.keep=[date]").dataset
    assert days_by_split(first) == {
        "train": [1, 2, 3, 4, 5], "validation": [6, 7], "test": [8, 9, 10],
    }  # fmt: skip
    lines = format_dataset(first)
    assert any("from validation: 0.2, test: 0.3; newest row 2026-01-10" in line for line in lines)


def resolve(spark: Any, workdir: Path, table: dict[str, Any], *overrides: str) -> TimeBoundaries:
    for name, rows in {"visits": table, "shops": {"shop": ["a"], "size": [1.0]}}.items():
        folder = workdir / "lake" / name
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(rows), folder / "part-0.parquet")
    recipe = tiny_recipe(workdir, *overrides)
    raw = read_raw(spark, recipe, make_plan(recipe, None))
    now = datetime(2026, 1, 31, tzinfo=UTC)
    boundaries = clean_rows(recipe, raw, None, None, now).boundaries
    assert boundaries is not None
    return boundaries


def rows_of(days: list[int | None], **columns: Any) -> dict[str, Any]:
    rows: dict[str, Any] = {
        "visit": list(range(len(days))), "day": [1] * len(days), "shop": ["a"] * len(days),
        "amount": [1.0] * len(days), "clock": [10] * len(days), "note": ["x"] * len(days),
        "late": [True] * len(days),
        "at": [None if day is None else date(2026, 1, day) for day in days],
    }  # fmt: skip
    return rows | columns


BY_DISTANCE = "split={time: {column: at, validation_from: -3 days, test_from: -1 day}}"


@pytest.mark.parametrize(
    ("rows", "overrides", "newest"),
    [
        (rows_of([1, 2, 9]), (), 9),
        (rows_of([1, 9, None]), (), 9),
        (rows_of([1, 9, 20], late=[True, True, None]), (), 9),  # no label
        (rows_of([1, 9, 20]), ("source.tables.visits.where=day(at) < 10",), 9),
        (
            rows_of([1, 9, 20], amount=[1.0, 1.0, 99.0]),
            ("clean.rules=[{kind: range, column: amount, max: 40}]",),
            9,
        ),
        (
            rows_of([1, 9, 20]),
            ("clean.rules=[{kind: range, column: at, max: '2026-01-10', on_violation: null}]",),
            9,
        ),
        # Of one key the latest row stays, whatever its time; NaN is earlier than any number.
        (
            rows_of([1, 9, 20], visit=[1, 2, 2], amount=[1.0, 1.0, float("nan")]),
            ("clean.dedup.latest_by=amount",),
            9,
        ),
        (rows_of([1, 9, 20], visit=[1, None, None]), (), 20),
        # Forms of time.
        (rows_of([1], at=pa.array([9 * 86_400_000], pa.timestamp("ms"))), (), None),
        (
            rows_of([1], at=pa.array([9 * 86_400_000_000], pa.timestamp("us", "Asia/Tokyo"))),
            (),
            None,
        ),
        (
            rows_of([1], at=["1970-01-10 00:00:00"]),
            ("source.tables.visits.columns={at: timestamp}",),
            None,
        ),
        (rows_of([1], at=["1970-01-10"]), ("source.tables.visits.columns={at: date}",), None),
    ],
)
def test_the_newest_row_is_one_that_is_published(
    spark: Any, tmp_path: Path, rows: dict[str, Any], overrides: tuple[str, ...], newest: int | None
) -> None:
    boundaries = resolve(spark, tmp_path, rows, BY_DISTANCE, *overrides)
    day = f"2026-01-{newest:02}" if newest else "1970-01-10"
    assert boundaries.newest is not None
    assert format_micros(boundaries.newest) == f"{day}T00:00:00Z"
    assert boundaries.newest - boundaries.test_from == 86_400_000_000


def test_a_column_of_folders(spark: Any, tmp_path: Path) -> None:
    rows = rows_of([1, 2])
    del rows["at"]
    (tmp_path / "lake" / "visits" / "at=2026-01-05").mkdir(parents=True)
    pq.write_table(pa.table(rows), tmp_path / "lake/visits/at=2026-01-05/part-0.parquet")
    (tmp_path / "lake" / "shops").mkdir()
    pq.write_table(pa.table({"shop": ["a"], "size": [1.0]}), tmp_path / "lake/shops/part-0.parquet")
    recipe = tiny_recipe(tmp_path, BY_DISTANCE)
    raw = read_raw(spark, recipe, make_plan(recipe, None))
    boundaries = clean_rows(recipe, raw, None, None, datetime(2026, 2, 1, tzinfo=UTC)).boundaries
    assert boundaries is not None
    assert boundaries.to_values()["newest"] == "2026-01-05T00:00:00Z"
    assert boundaries.to_values()["test_from"] == "2026-01-04T00:00:00Z"


@pytest.mark.parametrize(
    "split", [BY_DISTANCE, "split={time: {column: at, validation: 0.1, test: 0.1}}"]
)
def test_times_in_the_future_decide_nothing(spark: Any, tmp_path: Path, split: str) -> None:
    rows = rows_of([1, 2, 9], at=[date(2026, 1, 9), date(2026, 2, 1), date(9999, 12, 31)])
    with pytest.raises(LakeError, match="1 of 3 rows have a 'at' in the future, the newest 9999"):
        resolve(spark, tmp_path, rows, split)


def test_windows_end_before_the_newest_row(spark: Any, tmp_path: Path) -> None:
    """The last steps have no target, so they are not published, and not the newest."""
    minutes = pa.array([60 * n for n in range(10)], pa.timestamp("s", "UTC"))
    boundaries = resolve(
        spark, tmp_path, rows_of([1] * 10, at=minutes), "clean.dedup=null", "derive={}",
        "source.joins=[]", "model={kind: rnn}", "features={past: {kind: series, length: 2}}",
        "source.windows={key: [shop], order: at, step: 60, past: 2, ahead: 3, "
        "columns: {past: amount}, targets: {later: amount}}",
        "label={expression: later, kind: regression}",
        "split={time: {column: at, validation_from: -4 minutes, test_from: -1 minute}}",
    )  # fmt: skip
    assert boundaries.to_values() == {
        "validation_from": "1970-01-01T00:02:00Z",
        "test_from": "1970-01-01T00:05:00Z",
        "newest": "1970-01-01T00:06:00Z",
    }


@pytest.mark.parametrize(
    ("days", "what"),
    [
        ([1, 20], r"leaves validation without rows.*newest row 2026-01-20.*reject it by a"),
        ([19, 20], r"no row is left to train on.*split.time \(date before 2026-01-17T00:00:00Z, "),
    ],
)
def test_a_split_without_rows_is_refused(tmp_path: Path, days: list[int], what: str) -> None:
    write_places(tmp_path)
    write_days(tmp_path, *days)
    with pytest.raises(LakeError, match=what):
        build(tmp_path, DISTANCES)
    assert not (tmp_path / "dataset" / "_delta_log").exists()
