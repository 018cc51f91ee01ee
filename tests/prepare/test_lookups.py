"""A joined table that changes: only the partitions with rows of the changed keys are processed."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake.vacuum import vacuum_dataset
from headrace.prepare import Prepared, prepare
from headrace.progress import ignore_progress
from headrace.recipe import load_recipe
from tests.prepare.daily import (
    assert_same_rows,
    build,
    list_processed,
    rebuild,
    remove_day,
    write_day,
)

pytestmark = pytest.mark.spark

JOIN = "source.joins=[{table: places, key: [place], columns: {height: height, kind: kind}}]"
FEATURES = (
    "features={x: {kind: standardize}, height: {kind: standardize, impute: mean}, "
    "kind: {kind: vocabulary}}"
)
DAYS = range(1, 6)


def write_visits(workdir: Path, rng: random.Random, day: int, places: list[Any], kind: Any) -> None:
    rows = 30
    write_day(
        workdir,
        day,
        pa.table(
            {
                "event": range(1000 * day, 1000 * day + rows),
                "at": [day] * rows,
                "x": [rng.gauss(50, 10) for _ in range(rows)],
                "place": pa.array([rng.choice(places) for _ in range(rows)], kind),
                "y": [rng.random() < 0.5 for _ in range(rows)],
            }
        ),
    )


def write_lookup(workdir: Path, rng: random.Random, rows: dict[Any, Any], kind: Any) -> None:
    """Write the rows in any order, into one or two files."""
    folder = workdir / "lake" / "places"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*"):
        path.unlink()
    keys = [*rows]
    rng.shuffle(keys)
    cut = rng.choice([0, len(keys) // 2])
    for number, part in enumerate((keys[:cut], keys[cut:])):
        table = pa.table(
            {
                "place": pa.array(part, kind),
                "height": pa.array([rows[key][0] for key in part], pa.float64()),
                "kind": pa.array([rows[key][1] for key in part], pa.string()),
            }
        )
        if part:
            pq.write_table(table, folder / f"part-{number}-{rng.random()}.parquet")


def night(workdir: Path) -> Prepared:
    return build(workdir, JOIN, FEATURES)


@pytest.mark.parametrize(
    ("seed", "kind", "nights"),
    [
        (0, pa.string(), 2),
        pytest.param(0, pa.string(), 6, marks=pytest.mark.long),
        pytest.param(1, pa.int32(), 6, marks=pytest.mark.long),
        pytest.param(2, pa.float64(), 6, marks=pytest.mark.long),
        pytest.param(3, pa.date32(), 6, marks=pytest.mark.long),
        pytest.param(4, pa.int64(), 6, marks=pytest.mark.long),
    ],
)
def test_only_partitions_with_changed_keys_are_processed(
    tmp_path: Path, seed: int, kind: Any, nights: int
) -> None:
    rng = random.Random(seed)
    make: Any = {
        pa.string(): lambda i: f"p{i}", pa.float64(): lambda i: [0.0, -1.5, 2.0**60][i % 3] + i
    }.get(kind, int)  # fmt: skip
    of_day = {day: [make(10 * day + i) for i in range(6)] + [None, make(7)] for day in DAYS}
    for day in DAYS:
        write_visits(tmp_path, rng, day, of_day[day], kind)
    keys = sorted({key for places in of_day.values() for key in places if key is not None})
    rows = {key: (float(number), f"k{number % 3}") for number, key in enumerate(keys[1:])}
    write_lookup(tmp_path, rng, rows, kind)
    night(tmp_path)
    for number in range(nights):
        changed: set[Any] = set()
        if number != 3:  # in one night the same rows are in other files
            for key in rng.sample(keys, 2):
                before = rows.pop(key, None)
                if before is None or rng.random() < 0.7:
                    height = rng.choice([None, float("nan"), rng.random()])
                    rows[key] = (height, rng.choice(["k0", "k1", None]))
                changed |= {key}
            rows[make(900 + number)] = (1.0, "k0")  # no row of the main table has it
        write_lookup(tmp_path, rng, rows, kind)
        expected = set()
        if number == 4:
            write_visits(tmp_path, rng, 2, of_day[2], kind)
            expected.add("day=02")
        done = night(tmp_path)
        for day in DAYS:
            visits = pq.ParquetFile(
                next((tmp_path / "lake" / "events" / f"day={day:02}").glob("*.parquet"))
            ).read()
            places = visits["place"].cast(pa.int32()) if kind == pa.date32() else visits["place"]
            if changed & {*places.to_pylist()}:
                expected.add(f"day={day:02}")
        assert list_processed(done) == expected, (number, done.why)
        assert_same_rows(done.dataset, rebuild(tmp_path, done.dataset, JOIN, FEATURES))
    assert not night(tmp_path).published


def test_changed_keys_that_no_row_has_read_no_row(tmp_path: Path) -> None:
    rng = random.Random(0)
    for day in DAYS:
        write_visits(tmp_path, rng, day, ["a", "b"], pa.string())
    rows = {"a": (1.0, "k0"), "b": (2.0, "k1")}
    write_lookup(tmp_path, rng, rows, pa.string())
    first = night(tmp_path)
    write_lookup(tmp_path, rng, {**rows, "z": (3.0, "k0")}, pa.string())
    second = night(tmp_path)
    assert (second.published, list_processed(second)) == (True, set())
    assert_same_rows(first.dataset, second.dataset)
    assert not night(tmp_path).published
    write_lookup(tmp_path, rng, {**rows, "z": (4.0, "k0"), "a": (9.0, "k0")}, pa.string())
    assert list_processed(night(tmp_path)) == {f"day={day:02}" for day in DAYS}


@pytest.mark.long
def test_what_was_recorded_outlives_its_version(tmp_path: Path) -> None:
    """Vacuum keeps the digests and keys that a retained version needs."""
    import datetime

    rng = random.Random(0)
    for day in DAYS:
        write_visits(tmp_path, rng, day, ["a", f"b{day}"], pa.string())
    rows = {"a": (1.0, "k0"), **{f"b{day}": (2.0, "k1") for day in DAYS}}
    write_lookup(tmp_path, rng, rows, pa.string())
    first = night(tmp_path)
    # Of a build that read no row of the main table, so no partition needs it.
    rows["nowhere"] = (9.0, "k0")
    write_lookup(tmp_path, rng, rows, pa.string())
    second = night(tmp_path)
    assert (second.published, list_processed(second)) == (True, set())
    remove_day(tmp_path, 5)
    night(tmp_path)
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    gone = vacuum_dataset(
        first.dataset.root, keep=datetime.timedelta(), leftovers_after=datetime.timedelta(days=1),
        now=now, dry_run=False,
    )  # fmt: skip
    assert gone.versions == (first.dataset.version, second.dataset.version)
    write_lookup(tmp_path, rng, {**rows, "b3": (7.0, "k1")}, pa.string())
    assert list_processed(night(tmp_path)) == {"day=03"}


@pytest.mark.long
@pytest.mark.parametrize("lost", ["join_keys", "join_keys.json", "lookup-0.parquet"])
def test_what_was_recorded_and_is_gone_concerns_everything(tmp_path: Path, lost: str) -> None:
    rng = random.Random(0)
    for day in DAYS:
        write_visits(tmp_path, rng, day, ["a", f"b{day}"], pa.string())
    rows = {"a": (1.0, "k0"), **{f"b{day}": (2.0, "k1") for day in DAYS}}
    write_lookup(tmp_path, rng, rows, pa.string())
    first = night(tmp_path).dataset
    place = Path(first.root) / "_headrace" / first.build.build_id / lost
    for path in [*place.glob("*")] if place.is_dir() else [place]:
        path.unlink()
    write_lookup(tmp_path, rng, {**rows, "b3": (7.0, "k1")}, pa.string())
    assert list_processed(night(tmp_path)) == {f"day={day:02}" for day in DAYS}


@pytest.mark.long
def test_keys_of_other_types_are_looked_up_again_everywhere(tmp_path: Path) -> None:
    """Spark joins decimals of different digits; their hashes cannot be compared."""
    rng = random.Random(0)
    one, two, three = Decimal("1.50"), Decimal("2.50"), Decimal("3.50")
    for day in DAYS:
        write_visits(tmp_path, rng, day, [one, two], pa.decimal128(30, 2))
    rows = {one: (1.0, "k0"), two: (2.0, "k1")}
    write_lookup(tmp_path, rng, rows, pa.decimal128(28, 2))
    night(tmp_path)
    write_lookup(tmp_path, rng, {**rows, three: (2.0, "k1")}, pa.decimal128(28, 2))
    done = night(tmp_path)
    assert done.why == "table places changed"
    assert list_processed(done) == {f"day={day:02}" for day in DAYS}


@pytest.mark.long
def test_one_plane_of_the_flights_lake(tmp_path: Path, flights_lake: Path) -> None:
    """One row of `planes` changes: only its partitions are processed, and they are as in a full
    build."""
    lake = tmp_path / "lake"
    lake.mkdir()
    for name in ("flights", "weather"):
        (lake / name).symlink_to(flights_lake / name)
    planes = pa.concat_tables(
        pq.ParquetFile(path).read() for path in sorted((flights_lake / "planes").glob("*.parquet"))
    )
    flights = pq.read_table(flights_lake / "flights", columns=["tailnum", "month"]).to_pandas()
    months = flights.groupby("tailnum")["month"].unique()
    tail = next(t for t in planes["tailnum"].to_pylist() if t in months and 1 < len(months[t]) < 4)

    def run(dataset: str) -> Prepared:
        overrides = [f"lake={lake}", f"dataset.path={tmp_path / dataset}"]
        recipe = load_recipe(
            "conf/flights.yaml", overrides=overrides, workdir=str(tmp_path), environment={}
        )
        return prepare(recipe, workdir=str(tmp_path), report=ignore_progress)

    (lake / "planes").mkdir()
    pq.write_table(planes, lake / "planes" / "a.parquet")
    run("dataset")
    frame = planes.to_pandas()
    frame.loc[frame["tailnum"] == tail, ["seats", "manufacturer"]] = [2, "HEADRACE"]
    pq.write_table(pa.Table.from_pandas(frame, schema=planes.schema), lake / "planes" / "a.parquet")
    done = run("dataset")
    assert list_processed(done) == {f"month={month}" for month in months[tail]}
    assert done.dataset.build.ledger.read == len(flights)
    assert_same_rows(done.dataset, rebuild_flights(tmp_path, done, lake))


def rebuild_flights(workdir: Path, done: Prepared, lake: Path) -> Any:
    import shutil

    from headrace.prepare import BuildRequest

    copy = workdir / "copy"
    shutil.copytree(done.dataset.root, copy)
    recipe = load_recipe(
        "conf/flights.yaml",
        overrides=[f"lake={lake}", f"dataset.path={copy}"],
        workdir=str(workdir),
        environment={},
    )
    request = BuildRequest(full=True)
    return prepare(recipe, workdir=str(workdir), report=ignore_progress, request=request).dataset
