"""Statistics of a version that grew by nights are those of all of its rows, computed anew."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake import DatasetVersion
from headrace.lake import row_sample as row_samples
from headrace.lake.data_statistics import DataStatistics
from headrace.lake.sidecar import locate_sidecar
from headrace.prepare import BuildRequest
from headrace.prepare.restore import restore_version
from headrace.recipe import Recipe
from tests.prepare.local.plain_table import make_recipe, prepare_without_spark


def write_night(lake: Path, day: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pa.table(
        {
            "id": np.arange(rows) + 10_000 * day,
            "y": (rng.random(rows) < 0.4).astype(np.int32),
            "x": pa.array(np.where(rng.random(rows) < 0.1, np.nan, rng.normal(day, 1, rows)),
                          from_pandas=True),
            "rain": np.where(rng.random(rows) < 0.99, 0.0, rng.exponential(5, rows)),
            "count": rng.integers(-(2**60), 2**60, rows),
            "text": pa.array([f"shop {n}" for n in rng.zipf(1.5, rows)]),
        }
    )  # fmt: skip
    folder = lake / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "p.parquet")


def recipe_of(lake: Path, dataset: Path) -> Recipe:
    numbers = {name: {"kind": "standardize"} for name in ("x", "rain", "count")}
    return make_recipe(
        lake, dataset, features={**numbers, "text": {"kind": "vocabulary"}},
        dataset={"path": str(dataset), "rows_per_file": 200,
                 "rows_per_row_group": 100},
    )  # fmt: skip


def read(version: DatasetVersion) -> DataStatistics:
    statistics = version.statistics
    assert statistics is not None
    return statistics


def read_lake(lake: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(lake.glob("day=*/p.parquet"))])


@pytest.mark.parametrize("most", [16_384, 300], ids=["all rows", "a sample"])
def test_nights_that_come_change_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(row_samples, "_MOST_ROWS", most)
    lake = tmp_path / "lake"
    recipe = recipe_of(lake, tmp_path / "dataset")
    write_night(lake, 1, 500, 1)
    prepare_without_spark(recipe, tmp_path, [])
    write_night(lake, 2, 300, 2)
    prepare_without_spark(recipe, tmp_path, [])
    write_night(lake, 3, 200, 3)
    write_night(lake, 1, 450, 4)  # rows of the first night change, others are gone
    grown = read(prepare_without_spark(recipe, tmp_path, []).dataset)
    anew = prepare_without_spark(recipe, tmp_path, [], BuildRequest(full=True)).dataset
    again = read(anew)
    frame = read_lake(lake)
    assert (grown.scope, grown.rows) == ("version", again.rows)
    assert sum(grown.rows.values()) == len(frame)
    assert grown.is_exact == again.is_exact == (most >= len(frame))
    for column in grown.columns:
        other = again.label if column.kind == "label" else again.find_column(column.name)
        assert other is not None
        same = {"values", "missing", "zeros", "mean"}
        assert column.model_dump(include=same) == other.model_dump(include=same)
        for split, totals in column.totals.items():
            assert totals.sum == other.totals[split].sum
        if column.kind == "label":
            continue
        true = frame[column.name].dropna()
        assert column.value_count == len(true)
        if column.kind == "string":
            if grown.is_exact:
                counts = true.value_counts()
                assert [top.sampled for top in column.top] == counts[counts > 1][:10].tolist()
            continue
        assert column.zeros == int((true == 0).sum())
        for quantile in column.quantiles:
            expected = float(np.quantile(true.to_numpy(np.float64), quantile.share))
            if grown.is_exact:
                assert quantile.value == pytest.approx(expected, rel=1e-12, abs=1e-12)
        if column.is_limit_exact:
            assert (column.low, column.high) == (true.min(), true.max())
    if grown.is_exact:  # all of it but limits that rows which are gone may have had, and drift,
        # which is of the rows that the build read
        hidden = {
            "alerts": True,
            "columns": {"__all__": {"low", "high", "is_limit_exact", "totals"}},
        }
        assert grown.model_dump(exclude=hidden) == again.model_dump(exclude=hidden)


def test_restored_rows_have_the_statistics_that_they_had(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    recipe = recipe_of(lake, tmp_path / "dataset")
    write_night(lake, 1, 300, 1)
    first = prepare_without_spark(recipe, tmp_path, []).dataset
    write_night(lake, 2, 300, 2)
    prepare_without_spark(recipe, tmp_path, [])
    back = restore_version(first.root, 0)
    hidden = {"alerts"}
    assert read(back).model_dump(exclude=hidden) == read(first).model_dump(exclude=hidden)
    assert "version 0 again" in back.read_text("report.html")


def test_a_version_of_an_older_headrace_is_grown_and_says_what_it_has(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    recipe = recipe_of(lake, tmp_path / "dataset")
    write_night(lake, 1, 300, 1)
    first = prepare_without_spark(recipe, tmp_path, []).dataset
    sidecar = Path(locate_sidecar(first.root, first.build.build_id))
    for name in ("statistics.json", "row_sample.parquet", "column_totals.parquet", "history.json"):
        (sidecar / name).unlink()
    assert DatasetVersion.open(first.root).statistics is None
    write_night(lake, 2, 100, 2)
    second = prepare_without_spark(recipe, tmp_path, []).dataset
    found = read(second)
    assert (found.scope, sum(found.rows.values())) == ("build", 100)
    assert "written by an older Headrace" in second.read_text("report.html")
    # And so does the next night, which has no statistics of the first's rows either.
    write_night(lake, 3, 50, 3)
    third = read(prepare_without_spark(recipe, tmp_path, []).dataset)
    assert (third.scope, sum(third.rows.values())) == ("build", 50)
    whole = read(prepare_without_spark(recipe, tmp_path, [], BuildRequest(full=True)).dataset)
    assert (whole.scope, sum(whole.rows.values())) == ("version", 450)


def test_a_recipe_that_keeps_no_raw_rows_keeps_no_sample(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_night(lake, 1, 200, 1)
    dataset = {"path": str(tmp_path / "dataset"), "raw_examples": 0}
    recipe = make_recipe(lake, tmp_path / "dataset", dataset=dataset,
                         features={"x": {"kind": "standardize"}})  # fmt: skip
    first = prepare_without_spark(recipe, tmp_path, []).dataset
    sidecar = Path(locate_sidecar(first.root, first.build.build_id))
    assert not (sidecar / "row_sample.parquet").exists()
    assert read(first).is_exact
