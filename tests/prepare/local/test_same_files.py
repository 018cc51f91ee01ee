"""What is prepared without Spark is what Spark prepares, byte for byte."""

import random
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.prepare import BuildRequest, prepare
from headrace.prepare.local import jobs
from headrace.progress import ignore_progress
from headrace.recipe import Recipe
from headrace.source.local import choice
from tests.prepare.local.plain_table import (
    digest_version,
    make_recipe,
    prepare_without_spark,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

WORDS = ["a", "b", "", "\u00e9t\u00e9", "a b", "x" * 40, "1", "null", "\u4e2d", "n/a"]
FEATURES = {
    "x": {"kind": "standardize"}, "n": {"kind": "vocabulary"}, "text": {"kind": "vocabulary"},
    "number": {"kind": "standardize"}, "small": {"kind": "standardize"},
}  # fmt: skip


def draw_table(rng: random.Random, rows: int, first: int) -> pa.Table:
    """Draw rows: keys that come again, nulls, texts that are no numbers."""

    def draw(make: Any, nulls: float = 0.1) -> list[Any]:
        return [None if rng.random() < nulls else make() for _ in range(rows)]

    moment = datetime(2026, 1, 1, tzinfo=UTC)
    numbers = ["1", "2.5", "-3e2", "n/a", "", "12 kg", "0.125"]
    return pa.table(
        {
            "id": pa.array(draw(lambda: first + rng.randrange(rows), 0.02), pa.int64()),
            "y": pa.array(draw(lambda: rng.randrange(2), 0.05), pa.int32()),
            "x": pa.array(draw(lambda: rng.choice([rng.gauss(0, 1), float("nan"), -0.0]))),
            "n": pa.array(draw(lambda: rng.randrange(5)), pa.int64()),
            "text": pa.array(draw(lambda: rng.choice(WORDS)), pa.string()),
            "number": pa.array(draw(lambda: rng.choice(numbers)), pa.string()),
            "small": pa.array(draw(lambda: rng.randrange(-100, 100)), pa.int8()),
            "at": pa.array(
                draw(lambda: moment + timedelta(minutes=rng.randrange(10_000))),
                pa.timestamp("us", "UTC"),
            ),
            "price": pa.array(draw(lambda: round(rng.uniform(1, 1000), 2))),
            "clock": pa.array(
                draw(lambda: datetime(2026, 1, rng.randrange(1, 9), rng.randrange(24))),
                pa.timestamp("ms"),
            ),
            "on": pa.array(draw(lambda: date(2026, 1, rng.randrange(1, 9))), pa.date32()),
            "good": pa.array(draw(lambda: rng.random() < 0.5)),
        }
    )


def write_lake(lake: Path, rng: random.Random, days: int, rows: int) -> None:
    for day in range(days):
        folder = lake / f"day=2026-01-0{day + 1}"
        folder.mkdir(parents=True)
        table = draw_table(rng, rows, 37 * day)
        pq.write_table(table, folder / "part-0.parquet", row_group_size=rng.choice([64, 1000]))


def draw_recipe(rng: random.Random, lake: Path, dataset: Path) -> Recipe:
    label = rng.choice(
        [
            {"expression": "y = 1", "kind": "binary"},
            {"expression": "y = 1", "kind": "binary", "class_weight": "balanced"},
            {"expression": "x", "kind": "regression", "baseline": "price"},
            {"expression": "text", "kind": "classes"},
            {"expression": "n >= 2 AND text <> 'a'", "kind": "binary"},
        ]
    )
    words = label["expression"].split()
    features = {name: feature for name, feature in FEATURES.items() if name not in words}
    fractions = {"train": 0.6, "validation": 0.2, "test": 0.2}
    clean: dict[str, Any] = {}
    if rng.random() < 0.7:
        latest = rng.choice([{}, *({"latest_by": n} for n in ("at", "small", "clock", "on"))])
        clean = {"dedup": {"key": rng.choice([["id"], ["id", "text"]]), **latest}}
    split: dict[str, Any] = {"key": rng.choice([["id"], ["text", "n"], ["price"]])}
    if rng.random() < 0.3:
        split = {
            "time": {
                "column": rng.choice(["at", "clock", "on"]),
                "validation_from": "2026-01-03",
                "test_from": "2026-01-05",
            }
        }
    else:
        split["fractions"] = fractions
    return make_recipe(
        lake,
        dataset,
        source={
            "tables": {"t": {"path": str(lake), "columns": {"number": "real", "small": "real"}}},
            "main": "t",
        },
        clean=clean,
        label=label,
        split={**split, "seed": rng.randrange(100)},
        features=features,
        dataset={
            "path": str(dataset), "rows_per_file": rng.choice([50, 100_000]),
            "rows_per_row_group": 40,
            "keep": rng.choice([[], ["price", "text"], ["at", "on", "clock", "good"]]),
        },
    )  # fmt: skip


def prepare_both(
    recipe_of: Any, tmp_path: Path, request: BuildRequest | None = None
) -> tuple[Any, Any, list[str]]:
    """Prepare one lake with Spark and without; return what both left, and what was said."""
    outcomes = []
    said: list[str] = []
    for engine in ("spark", "local"):
        recipe = recipe_of(tmp_path / engine)
        try:
            if engine == "spark":
                prepared = prepare(
                    recipe, workdir=str(tmp_path), report=ignore_progress, request=request
                )
            else:
                prepared = prepare_without_spark(recipe, tmp_path, said, request)
        except LakeError as error:
            outcomes.append(str(error))
        else:
            outcomes.append(digest_version(prepared.dataset))
    return outcomes[0], outcomes[1], said


@pytest.mark.parametrize(
    "seed", [1, 2, *(pytest.param(n, marks=pytest.mark.long) for n in range(3, 23))]
)
def test_random_lakes(
    spark: "SparkSession", tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    write_lake(tmp_path / "lake", rng, rng.choice([1, 3]), rng.choice([150, 400]))
    if seed % 4 == 2:  # in processes of their own, by several tasks
        monkeypatch.setattr(choice, "_CELLS_ALONE", 0)
        monkeypatch.setattr(jobs, "_LEAST_ROWS", 64)
    state = rng.getstate()

    def recipe_of(dataset: Path) -> Recipe:
        rng.setstate(state)
        return draw_recipe(rng, tmp_path / "lake", dataset)

    expected, found, said = prepare_both(recipe_of, tmp_path)
    assert found == expected
    assert any(" without Spark" in text for text in said), said
    assert not any("Spark is needed" in text for text in said), said
    shutil.rmtree(tmp_path)


CSV_COLUMNS = {
    "id": "integer", "y": "integer", "x": "real", "small": "integer", "at": "timestamp",
    "price": "real", "good": "boolean", "on": "date",
}  # fmt: skip


def write_csv(path: Path, rng: random.Random, rows: int, null: str, end: str) -> None:
    """Write lines without quotes; some values are none of their columns' types."""
    lines = ["id;y;x;small;text;at;price;good;on"]
    for n in range(rows):
        values = [
            str(n), str(rng.randrange(2)), f"{rng.gauss(0, 1):.3f}", str(rng.randrange(9)),
            rng.choice(["a", "b c", "\u00e9", "1"]), f"2026-01-0{rng.randrange(1, 9)} 10:30:00",
            f"{rng.uniform(1, 99):.2f}", rng.choice(["true", "false", "T"]), "2026-02-01",
        ]  # fmt: skip
        if rng.random() < 0.3:
            values[rng.randrange(1, 9)] = rng.choice(["", null])
        if rng.random() < 0.1:
            values[rng.choice([2, 3, 6, 7])] = "n/a"
        lines.append(";".join(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode())


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 3, 4))])
def test_files_of_csv(spark: "SparkSession", tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    null, end = rng.choice(["", "NA"]), rng.choice(["\n", "\r\n"])
    for day in range(2):
        path = tmp_path / "lake" / f"day={day}" / "part.csv"
        write_csv(path, rng, 150, null, end)
    escape = rng.choice([{}, {"escape": '"'}, {"escape": "\\"}])
    options = {"sep": ";", **escape, **({"nullValue": null} if null else {})}
    table = {
        "path": str(tmp_path / "lake"), "format": "csv", "columns": CSV_COLUMNS,
        "options": options,
    }  # fmt: skip
    features = {
        **{name: FEATURES[name] for name in ("x", "text", "small")},
        "good": {"kind": "vocabulary"},
    }
    expected, found, said = prepare_both(
        lambda dataset: make_recipe(
            "", dataset, source={"tables": {"t": table}, "main": "t"}, features=features,
            label={"expression": rng.choice(["y = 1"]), "kind": "binary"},
            split={"key": ["id", "price"]}, clean={"dedup": {"key": ["id"], "latest_by": "at"}},
        ),
        tmp_path,
    )  # fmt: skip
    assert found == expected
    assert "preparing 300 rows of 2 files without Spark" in said
    assert not any("Spark is needed" in text for text in said), said


def test_increments(spark: "SparkSession", tmp_path: Path) -> None:
    """A new day, without a key that could be another's: only its rows are read."""
    rng = random.Random(5)
    write_lake(tmp_path / "lake", rng, 2, 150)

    def recipe_of(dataset: Path) -> Recipe:
        return make_recipe(tmp_path / "lake", dataset)

    prepare_both(recipe_of, tmp_path)
    folder = tmp_path / "lake" / "day=2026-01-09"
    folder.mkdir()
    pq.write_table(draw_table(rng, 100, 500), folder / "part-0.parquet")
    expected, found, said = prepare_both(recipe_of, tmp_path)
    assert found == expected
    assert "preparing 100 rows of 1 file without Spark" in said


def test_texts_that_are_no_utf8_go_on_with_spark(spark: "SparkSession", tmp_path: Path) -> None:
    table = draw_table(random.Random(1), 100, 0)
    odd = pa.array([b"\xff\xfe" if n == 7 else b"a" for n in range(100)], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 100, odd.buffers())
    table = table.set_column(table.column_names.index("text"), "text", texts)
    (tmp_path / "lake").mkdir()
    pq.write_table(table, tmp_path / "lake" / "part-0.parquet")
    expected, found, said = prepare_both(
        lambda dataset: make_recipe(tmp_path / "lake", dataset), tmp_path
    )
    assert found == expected
    assert found["ledgers"][""]["quarantined"] == {"text is UTF-8": 1}
    assert any("Spark is needed: " in text for text in said)


def test_values_that_only_spark_knows(spark: "SparkSession", tmp_path: Path) -> None:
    table = draw_table(random.Random(1), 100, 0)
    numbers = pa.array([" 1" if n % 9 == 0 else "inf" if n % 9 == 1 else "2" for n in range(100)])
    table = table.set_column(table.column_names.index("number"), "number", numbers)
    (tmp_path / "lake").mkdir()
    pq.write_table(table, tmp_path / "lake" / "part-0.parquet")
    source = {"tables": {"t": {"path": str(tmp_path / "lake"), "columns": {"number": "real"}}}}
    features = {"number": {"kind": "standardize"}}
    expected, found, said = prepare_both(
        lambda dataset: make_recipe("", dataset, source={**source, "main": "t"}, features=features),
        tmp_path,
    )
    assert found == expected
    assert "Spark is needed: column number has the text ' 1'" in said


def test_an_empty_table(spark: "SparkSession", tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    pq.write_table(draw_table(random.Random(1), 100, 0)[:0], tmp_path / "lake" / "part-0.parquet")
    expected, found, _ = prepare_both(
        lambda dataset: make_recipe(tmp_path / "lake", dataset), tmp_path
    )
    assert "is empty: 0 rows" in expected
    assert found == expected
