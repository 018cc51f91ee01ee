"""What is scored without Spark is what Spark scores, bit for bit."""

import random
import shutil
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.features import stored_texts
from headrace.progress import ignore_progress
from headrace.recipe import Recipe
from headrace.score import run
from headrace.score.local import jobs, start
from headrace.train import train
from tests.prepare.local.plain_table import (
    CSV_COLUMNS,
    draw_table,
    make_recipe,
    prepare_without_spark,
    write_csv,
    write_lake,
)
from tests.score.local.plain_scores import (
    digest_files,
    digest_scores,
    score_table,
    score_without_spark,
)

pytestmark = pytest.mark.spark

LABELS: dict[str, dict[str, Any]] = {
    "binary": {"expression": "y = 1", "kind": "binary"},
    "classes": {"expression": "text", "kind": "classes"},
    "regression": {"expression": "price", "kind": "regression"},
    "multi_label": {"expression": "split(text, ' ')", "kind": "multi_label"},
}
FEATURES = {
    "x": {"kind": "standardize"}, "n": {"kind": "vocabulary"}, "text": {"kind": "vocabulary"},
    "number": {"kind": "standardize"}, "small": {"kind": "quantile_buckets", "buckets": 4},
    "hour": {"kind": "standardize"},
}  # fmt: skip
DERIVE = {"hour": {"kind": "time_part", "columns": ["at"], "part": "hour"}}
WRITTEN = ["text", "price", "small", "at", "on", "clock", "good", "number", "n"]


class Models:
    """Models of one table, each trained when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._trained = folder, set[str]()
        write_lake(folder / "lake", random.Random(1), 3, 200)
        write_csv(folder / "csv" / "part.csv", random.Random(2), 300, "", "\n")

    def get_recipe(self, kind: str, **changes: Any) -> Recipe:
        """Return the recipe of a model; `changes` replace its sections."""
        if kind not in self._trained:
            self._trained.add(kind)
            plain = self.make_recipe(kind)
            with pytest.MonkeyPatch.context() as patch:
                if kind == "stored_texts":
                    patch.setattr(stored_texts, "INLINE_TEXTS", 3)
                prepare_without_spark(plain, self.folder, [])
                train(plain, workdir=str(self.folder), report=ignore_progress)
        return self.make_recipe(kind, **changes)

    def make_recipe(self, kind: str, **changes: Any) -> Recipe:
        label = LABELS.get(kind, LABELS["binary"])
        features = {n: f for n, f in FEATURES.items() if n not in label["expression"]}
        table: dict[str, Any] = {
            "path": str(self.folder / "lake"), "columns": {"number": "real", "small": "real"},
        }  # fmt: skip
        if kind == "csv":
            features = {name: FEATURES[name] for name in ("x", "text", "small", "hour")}
            table = {
                "path": str(self.folder / "csv"), "columns": CSV_COLUMNS, "format": "csv",
                "options": {"sep": ";"},
            }  # fmt: skip
        return make_recipe(
            "",
            self.folder / f"dataset-{kind}",
            **{
                "name": kind,
                "source": {"tables": {"t": table}, "main": "t"},
                "clean": {"dedup": {"key": ["id"]}},
                "label": label,
                "features": features,
                "derive": DERIVE,
                "train": {"epochs": 1, "ranks": 1, "global_batch_size": 64},
                **changes,
            },
        )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


def score_both(
    models: Models, recipe: Recipe, table: Path, tmp_path: Path
) -> tuple[Any, Any, list[str]]:
    """Score a table with Spark and without; return what both left, and what was said."""
    outcomes: list[Any] = []
    said: list[str] = []
    for engine in ("spark", "local"):
        try:
            if engine == "spark":
                done = score_table(recipe, table, tmp_path / engine, models.folder)
            else:
                done = score_without_spark(recipe, table, tmp_path / engine, models.folder, said)
        except LakeError as error:
            outcomes.append(str(error))
        else:
            outcomes.append(digest_scores(done))
    return outcomes[0], outcomes[1], said


def assert_same(
    models: Models, recipe: Recipe, table: Path, tmp_path: Path, needs: str | None = None
) -> Any:
    """Score with Spark and without, compare, and return what was left."""
    expected, found, said = score_both(models, recipe, table, tmp_path)
    for part in expected if isinstance(expected, dict) else ():
        assert found[part] == expected[part], part
    assert found == expected
    needed = [text for text in said if text.startswith("Spark is needed")]
    if needs is None:
        assert not needed, said
        if isinstance(expected, dict):  # and no refusal of a table that is empty, or lacks a column
            assert any(text.endswith(" without Spark") for text in said), said
    else:
        assert needed == [f"Spark is needed: {needs}"]
    return found


@pytest.mark.parametrize(
    "kind",
    [
        "binary",
        *(
            pytest.param(kind, marks=pytest.mark.long)
            for kind in ("classes", "regression", "multi_label", "stored_texts")
        ),
    ],
)
def test_kinds_of_label(spark: object, models: Models, tmp_path: Path, kind: str) -> None:
    recipe = models.get_recipe(kind, score={"columns": WRITTEN})
    write_lake(tmp_path / "new", random.Random(5), 2, 300)
    found = assert_same(models, recipe, tmp_path / "new", tmp_path)
    assert len(found["rows"]) + len(found["quarantine"]) == 600
    assert found["quarantine"]


@pytest.mark.parametrize(
    "seed", [9, *(pytest.param(n, marks=pytest.mark.long) for n in (*range(1, 9), 10, 11))]
)
def test_random_tables(
    spark: object, models: Models, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    folder = tmp_path / "new"
    for number in range(rng.choice([1, 3, 20])):
        day = folder / (f"day=2026-02-0{number % 3 + 1}" if seed % 2 else "")
        day.mkdir(parents=True, exist_ok=True)
        rows = rng.choice([0, 1, 40, 333])
        # Of no row, and of nulls alone, a column would have no type.
        table = draw_table(rng, max(rows, 40), 1000 * number)[:rows]
        if rng.random() < 0.3:
            table = table.append_column("later", pa.nulls(len(table), pa.int64()))
        if rng.random() < 0.3:
            table = table.drop_columns([rng.choice(["x", "n", "price"])])
        pq.write_table(table, day / f"part-{number}.parquet", row_group_size=rng.choice([16, 1000]))
    if seed % 3:  # by several processes and tasks
        monkeypatch.setattr(start, "_ROWS_PER_PROCESS", 10)
        monkeypatch.setattr(jobs, "_LEAST_ROWS", 16)
    columns = rng.sample(WRITTEN, rng.randrange(len(WRITTEN)))
    recipe = models.get_recipe("binary", score={"columns": columns, "batch_rows": 100})
    assert_same(models, recipe, folder, tmp_path)
    shutil.rmtree(tmp_path)


@pytest.mark.long
def test_files_of_csv(spark: object, models: Models, tmp_path: Path) -> None:
    for day in range(2):
        path = tmp_path / "new" / f"day={day}" / "part.csv"
        write_csv(path, random.Random(day), 150, "", "\n")
    recipe = models.get_recipe("csv", score={"columns": ["text", "at", "good"]})
    found = assert_same(models, recipe, tmp_path / "new", tmp_path)
    assert found["quarantine"]


@pytest.mark.long
def test_a_file_for_each_partition_is_the_same_byte_for_byte(
    spark: object, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls(2026, 3, 1, tzinfo=UTC)

    monkeypatch.setattr(run, "datetime", Clock)
    recipe = models.get_recipe("binary", score={"columns": ["text"]})
    write_lake(tmp_path / "new", random.Random(6), 3, 100)
    done = score_table(recipe, tmp_path / "new", tmp_path / "spark", models.folder)
    other = score_without_spark(recipe, tmp_path / "new", tmp_path / "local", models.folder, [])
    assert len(digest_files(done)) == 3
    assert digest_files(other) == digest_files(done)


def test_only_new_partitions_are_read(spark: object, models: Models, tmp_path: Path) -> None:
    recipe = models.get_recipe("binary")
    write_lake(tmp_path / "new", random.Random(7), 1, 50)
    assert_same(models, recipe, tmp_path / "new", tmp_path)
    write_lake(tmp_path / "more", random.Random(8), 2, 50)
    shutil.move(tmp_path / "more" / "day=2026-01-02", tmp_path / "new")
    expected, found, said = score_both(models, recipe, tmp_path / "new", tmp_path)
    assert found == expected
    assert "scoring 50 rows with models:/binary/1 without Spark" in said


def test_texts_that_are_no_utf8_go_on_with_spark(
    spark: object, models: Models, tmp_path: Path
) -> None:
    table = draw_table(random.Random(1), 100, 0)
    odd = pa.array([b"\xff\xfe" if n % 3 == 1 else b"a" for n in range(100)], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 100, odd.buffers())
    table = table.set_column(table.column_names.index("text"), "text", texts)
    (tmp_path / "new").mkdir()
    pq.write_table(table, tmp_path / "new" / "part-0.parquet")
    recipe = models.get_recipe("binary")
    needs = "text has texts that are no UTF-8"
    found = assert_same(models, recipe, tmp_path / "new", tmp_path, needs)
    assert "text is UTF-8" in found["partitions"][""][0].quarantined


def test_values_that_only_spark_knows(spark: object, models: Models, tmp_path: Path) -> None:
    table = draw_table(random.Random(1), 100, 0)
    numbers = pa.array([" 1" if n % 9 == 0 else "2" for n in range(100)])
    table = table.set_column(table.column_names.index("number"), "number", numbers)
    (tmp_path / "new").mkdir()
    pq.write_table(table, tmp_path / "new" / "part-0.parquet")
    recipe = models.get_recipe("binary")
    needs = "column number has the text ' 1'"
    assert_same(models, recipe, tmp_path / "new", tmp_path, needs)


def test_a_table_that_does_not_fit_the_model(spark: object, models: Models, tmp_path: Path) -> None:
    table = draw_table(random.Random(1), 100, 0).drop_columns(["x"])
    (tmp_path / "new").mkdir()
    pq.write_table(table, tmp_path / "new" / "part-0.parquet")
    expected, found, _ = score_both(models, models.get_recipe("binary"), tmp_path / "new", tmp_path)
    assert "'x' is missing" in expected
    assert found == expected
    assert not (tmp_path / "local").exists() or not [*(tmp_path / "local").rglob("*.parquet")]
