"""Each kind of alert is raised on tables that have it, and none on tables that have nothing.

The tables go the whole road of a build without Spark, so alerts are those that users get.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake.data_statistics import DataStatistics
from headrace.prepare import Prepared
from tests.prepare.local.plain_table import make_recipe, prepare_without_spark

ROWS = 1500


def draw_clean(rng: np.random.Generator, rows: int = ROWS) -> dict[str, Any]:
    """Draw columns of all plain shapes, without anything to warn of."""
    return {
        "id": np.arange(rows),
        "y": (rng.random(rows) < rng.uniform(0.05, 0.95)).astype(np.int32),
        "normal": rng.normal(rng.normal() * 1e3, rng.lognormal(0, 3), rows),
        "uniform": rng.uniform(-1, 1, rows),
        "waits": rng.exponential(rng.lognormal(), rows),
        "counts": rng.poisson(rng.uniform(0.5, 20), rows),
        "rare": (rng.random(rows) < 0.005).astype(np.int64),
        "some": pa.array(np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
                         from_pandas=True),
        "shop": pa.array([f"shop {n}" for n in rng.integers(0, 20, rows)]),
    }  # fmt: skip


FEATURES: dict[str, dict[str, Any]] = {
    "normal": {"kind": "standardize"}, "uniform": {"kind": "min_max"},
    "waits": {"kind": "standardize"}, "counts": {"kind": "standardize"},
    "rare": {"kind": "standardize"}, "some": {"kind": "standardize"},
    "shop": {"kind": "vocabulary"},
}  # fmt: skip


def build(
    folder: Path, table: dict[str, Any], more: dict[str, dict[str, Any]] | None = None,
    **changes: Any,
) -> Prepared:  # fmt: skip
    lake = folder / "lake"
    lake.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), lake / f"part-{len(list(lake.iterdir()))}.parquet")
    recipe = make_recipe(
        lake, folder / "dataset", features=FEATURES | (more or {}),
        dataset={"path": str(folder / "dataset"), "rows_per_file": 1000,
                 "rows_per_row_group": 500}, **changes,
    )  # fmt: skip
    return prepare_without_spark(recipe, folder, [])


def read(prepared: Prepared) -> DataStatistics:
    statistics = prepared.dataset.statistics
    assert statistics is not None
    return statistics


def list_kinds(statistics: DataStatistics) -> list[tuple[str, str, str]]:
    return [(a.severity, a.kind, a.column) for a in statistics.alerts]


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 3))])
def test_clean_tables_raise_none(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert list_kinds(read(build(tmp_path, draw_clean(rng)))) == []


def test_every_kind_is_raised_once_and_sorted_by_severity(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    table = draw_clean(rng)
    chosen = {name: {"kind": "standardize"} for name in ("gone", "half", "same", "tail", "late")}
    table |= {
        "gone": pa.array([(None, np.nan, np.inf)[n % 3] for n in range(ROWS)], pa.float64()),
        "half": pa.array(np.where(rng.random(ROWS) < 0.6, np.nan, 1.0 + rng.random(ROWS)),
                         from_pandas=True),
        "same": np.full(ROWS, 7.5),
        "tail": np.exp(rng.exponential(2.5, ROWS) ** 1.3),
        "late": table["y"] + rng.normal(0, 0.01, ROWS),
        "user": pa.array([f"u{n}" for n in rng.permutation(ROWS)]),
    }  # fmt: skip
    found = read(build(tmp_path, table, {**chosen, "user": {"kind": "hash", "buckets": 64}}))
    assert list_kinds(found) == [
        ("high", "leak suspicion", "late"),
        ("high", "missing", "gone"),
        ("medium", "constant", "same"),
        ("medium", "high cardinality", "user"),
        ("medium", "missing", "half"),
        ("low", "skew", "tail"),
    ]
    for alert in found.alerts:
        assert alert.figures and alert.sentence.endswith(".")
    # The value, and not how many rows have it.
    assert f"All {ROWS:,} values are 7.5:" in found.alerts[2].sentence
    gone = found.find_column("gone")
    assert gone is not None and (gone.value_count, gone.quantiles, gone.mean) == (0, (), None)


def test_a_leak_that_the_recipe_allows_raises_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    table = draw_clean(rng)
    table["late"] = table["y"] + rng.normal(0, 0.01, ROWS)
    found = build(
        tmp_path, table, {"late": {"kind": "standardize"}},
        evaluate={"leakage": {"allow": ["late"]}},
    )  # fmt: skip
    assert list_kinds(read(found)) == []


def test_scaling_that_bounds_a_tail_raises_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    table = draw_clean(rng)
    table["tail"] = np.exp(rng.exponential(2.5, ROWS) ** 1.3)
    found = build(tmp_path, table, {"tail": {"kind": "standardize", "log1p": True}})
    assert list_kinds(read(found)) == []


def test_a_column_that_began_later_and_values_that_moved(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    table = draw_clean(rng)
    day = rng.integers(1, 31, ROWS)
    moments = np.array([f"2026-01-{n:02}" for n in day], "datetime64[us]")
    table["at"] = pa.array(moments, pa.timestamp("us", "UTC"))
    table["some"] = pa.array(np.where(day < 20, np.nan, rng.normal(size=ROWS)), from_pandas=True)
    table["uniform"] = table["uniform"] + np.where(day >= 20, 1.5, 0.0)
    split = {"time": {"column": "at", "validation_from": "2026-01-20",
                      "test_from": "2026-01-25"}}  # fmt: skip
    # Of the train rows some have the column, or it could not be fitted.
    table["some"] = pa.array(
        np.where((day < 20) & (rng.random(ROWS) < 0.9), np.nan, rng.normal(size=ROWS)),
        from_pandas=True,
    )
    found = list_kinds(read(build(tmp_path, table, split=split)))
    assert ("high", "missing", "some") in found
    assert ("medium", "drift", "uniform") in found
    assert {column for _, _, column in found} <= {"some", "uniform"}


def test_rows_of_a_night_that_drifted(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    lake = tmp_path / "nights"
    for day, shift in ((1, 0.0), (2, 5.0)):
        folder = lake / f"day={day}"
        folder.mkdir(parents=True)
        night = draw_clean(np.random.default_rng(12))
        night |= {"id": np.arange(ROWS) + ROWS * day, "normal": rng.normal(shift, 1, ROWS)}
        pq.write_table(pa.table(night), folder / "p.parquet")
        recipe = make_recipe(
            lake, tmp_path / "out", features=FEATURES,
            dataset={"path": str(tmp_path / "out"), "rows_per_file": 1000,
                 "rows_per_row_group": 500},
        )  # fmt: skip
        prepared = prepare_without_spark(recipe, tmp_path, [])
    found = read(prepared)
    assert ("high", "drift", "normal") in list_kinds(found)
    assert found.scope == "version"
    assert sum(found.rows.values()) == 2 * ROWS
