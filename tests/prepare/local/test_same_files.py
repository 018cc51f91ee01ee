"""What is prepared without Spark is what Spark prepares, byte for byte."""

import random
import shutil
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
    CSV_COLUMNS,
    digest_version,
    draw_table,
    make_recipe,
    prepare_without_spark,
    write_csv,
    write_lake,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

FEATURES = {
    "x": {"kind": "standardize"}, "n": {"kind": "vocabulary"}, "text": {"kind": "vocabulary"},
    "number": {"kind": "standardize"}, "small": {"kind": "standardize"},
}  # fmt: skip


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
