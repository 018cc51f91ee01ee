"""Sliding windows: past steps and later values of a keyed series, gaps and boundaries included."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake import DatasetVersion
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe import build_recipe
from headrace.recipe import sections as s
from headrace.source.windows import cut_windows
from headrace.transform.spec import TransformSpec
from tests.prepare.tiny_builds import read_rows

START = datetime(2020, 1, 1, tzinfo=UTC)
HOURS = 60
PAST, AHEAD = 4, 2


def series() -> pa.Table:
    """Two stations; station b has no row at hours 10 to 12, and its value 20 is out of range."""
    rows = [
        {
            "row": 1000 * (station == "b") + hour,
            "station": station,
            "time": START + timedelta(hours=hour),
            "value": 1000.0 if (station, hour) == ("b", 20) else hour + 0.5 * (station == "b"),
        }
        for station in "ab"
        for hour in range(HOURS)
        if not (station == "b" and 10 <= hour <= 12)
    ]
    rng = np.random.default_rng(0)  # the lake is in no order
    return pa.Table.from_pylist([rows[i] for i in rng.permutation(len(rows))])


def build(workdir: Path, lake: pa.Table | None = None, **changes: Any) -> DatasetVersion:
    (workdir / "lake").mkdir(exist_ok=True)
    pq.write_table(series() if lake is None else lake, workdir / "lake" / "part-0.parquet")
    tree = {
        "name": "stations",
        "source": {
            "tables": {"values": {"path": "${workdir}/lake"}},
            "main": "values",
            "windows": {
                "key": ["station"], "order": "time", "step": 3600, "past": PAST, "ahead": AHEAD,
                "columns": {"past": "value"}, "targets": {"later": "value"},
            },
        },
        "clean": {"rules": [{"kind": "range", "column": "value", "max": 100}]},
        "label": {"expression": "later", "kind": "regression", "baseline": "value"},
        "split": {
            "time": {
                "column": "time", "validation_from": "2020-01-02T06:00:00",
                "test_from": "2020-01-02T18:00:00Z",
            }
        },
        "features": {
            "past": {"kind": "series", "length": PAST, "scale": "none",
                     "impute": {"constant": -1}},
            "row": {"kind": "log1p"},
        },
        "dataset": {"path": "${workdir}/dataset", "rows_per_file": 50, "rows_per_row_group": 10},
        "model": {"kind": "rnn"},
    }  # fmt: skip
    tree |= changes
    recipe = build_recipe(tree, source="stations", workdir=str(workdir), environment={})
    return prepare(recipe, workdir=str(workdir), report=ignore_progress).dataset


def by_row(dataset: DatasetVersion) -> pd.DataFrame:
    rows = read_rows(dataset)
    return rows.set_index(np.rint(np.expm1(rows["row"].astype(float))).astype(int)).sort_index()


@pytest.mark.spark
def test_windows_hold_the_past_and_the_label_the_future(tmp_path: Path) -> None:
    rows = by_row(build(tmp_path))
    assert rows.loc[9, "past"].tolist() == [6, 7, 8, 9]
    assert rows.loc[9, "label"] == 11
    assert rows.loc[9, "baseline"] == 9
    # before the series begins, and in its gap, there is nothing: -1 stands for it
    assert rows.loc[0, "past"].tolist() == [-1, -1, -1, 0]
    assert rows.loc[1014, "past"].tolist() == [-1, -1, 13.5, 14.5]
    # a row that a rule rejected is in nobody's window
    assert rows.loc[1021, "past"].tolist() == [18.5, 19.5, -1, 21.5]


@pytest.mark.spark
def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    ledger = dataset.build.ledger
    assert ledger.read == 2 * HOURS - 3
    assert ledger.quarantined == {"range(value)": 1}
    # no later value: the last two of each station, hours 8 and 9 of b before its gap (10 is in it,
    # too), and hour 18, whose target was rejected
    assert ledger.filtered["label is null"] == 2 * AHEAD + 2 + 1
    rows = by_row(dataset)
    assert not {8 + 1000, 9 + 1000, 18 + 1000, 20 + 1000} & set(rows.index)
    assert {7, 8, 9, 1007} <= set(rows.index)


@pytest.mark.spark
def test_a_weight_is_checked_where_there_are_windows(tmp_path: Path) -> None:
    """A row without a weight goes to quarantine; windows of other rows keep its value."""
    lake = series()
    weight = [None if row == 20 else -1.0 if row == 21 else 2.0 for row in lake["row"].to_pylist()]
    lake = lake.append_column("weight", pa.array(weight, pa.float64()))
    label = {"expression": "later", "kind": "regression", "sample_weight": "weight * 0.5"}
    dataset = build(tmp_path, lake, label=label)
    ledger = dataset.build.ledger
    assert ledger.read == 2 * HOURS - 3
    assert ledger.quarantined == {"range(value)": 1, "label.sample_weight": 2}
    rows = by_row(dataset)
    assert set(rows["sample_weight"]) == {1.0}
    assert not {20, 21} & set(rows.index)
    assert rows.loc[22, "past"].tolist() == [19, 20, 21, 22]
    rejected = pq.read_table(f"{dataset.root}/{dataset.build.quarantine}")
    rejected = rejected.select(["row", "quarantine_reasons"]).to_pylist()
    reasons = {row["row"]: row["quarantine_reasons"] for row in rejected}
    assert reasons[20] == ["label.sample_weight: 'null' is no weight"]
    assert reasons[21] == ["label.sample_weight: '-0.5' is no weight"]


@pytest.mark.spark
def test_no_window_or_target_crosses_a_boundary(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    rows = by_row(dataset)
    hours = rows.index.to_series() % 1000
    span = pd.DataFrame({"first": hours - PAST + 1, "last": hours + AHEAD, "split": rows["split"]})
    for split, (begin, end) in {
        "train": (-10, 30), "validation": (30, 42), "test": (42, 100)
    }.items():  # fmt: skip
        part = span[span["split"] == split]
        assert len(part), split
        assert part["first"].min() >= begin, split
        assert part["last"].max() < end, split
    # 3 + 2 hours around each of two boundaries, two stations
    crossing = dataset.build.ledger.filtered["window crosses a split boundary"]
    assert crossing == 2 * 2 * (PAST - 1 + AHEAD)


@pytest.mark.spark
def test_a_split_by_time_without_windows(tmp_path: Path) -> None:
    source = {"tables": {"values": {"path": "${workdir}/lake"}}, "main": "values"}
    dataset = build(
        tmp_path,
        source=source,
        label={"expression": "value", "kind": "regression"},
        features={"row": {"kind": "log1p"}},
        model={"kind": "mlp"},
    )
    rows = by_row(dataset)
    hours = rows.index.to_series() % 1000
    assert (hours[rows["split"] == "train"] < 30).all()
    assert (hours[rows["split"] == "test"] >= 42).all()
    assert sum(dataset.build.ledger.published.values()) == 2 * HOURS - 3 - 1


@pytest.mark.spark
def test_the_order_of_the_lake_does_not_matter(tmp_path: Path) -> None:
    first = build(tmp_path)
    table = series()
    order = np.random.default_rng(5).permutation(table.num_rows)
    (tmp_path / "lake" / "part-0.parquet").unlink()
    for number, part in enumerate(np.array_split(order, 5)):
        pq.write_table(table.take(pa.array(part)), tmp_path / "lake" / f"p{number}.parquet")
    assert build(tmp_path, lake=table.slice(0, 0)).digest == first.digest


@pytest.mark.spark
def test_standardized_labels(tmp_path: Path) -> None:
    label = {"expression": "later", "kind": "regression", "standardize": True}
    dataset = build(tmp_path, label=label)
    spec = TransformSpec.from_json(dataset.transform_json)
    rows = by_row(dataset)
    train = rows[rows["split"] == "train"]["label"]
    assert train.mean() == pytest.approx(0, abs=1e-6)
    assert train.std(ddof=0) == pytest.approx(1, rel=1e-6)
    assert rows.loc[9, "label"] * spec.label.scale + spec.label.center == pytest.approx(11)


def cut(rows: list[tuple[int | None, int | None, float | None]], **changes: Any) -> dict[str, list]:
    """Return the new columns of rows of (series, step, value), by columns."""
    settings = {
        "key": ["k"], "order": "t", "step": 1, "past": 3, "ahead": 1,
        "columns": {"past": "v"}, "targets": {"later": "v"},
    }  # fmt: skip
    series, steps, values = zip(*rows, strict=True) if rows else ((), (), ())
    table = pa.table(
        {
            "__headrace_series": pa.array(series, pa.int64()),
            "__headrace_step": pa.array(steps, pa.int64()),
            "v": pa.array(values, pa.float64()),
        }
    )
    arrays = cut_windows(table, s.Windows.model_validate(settings | changes), {"v": "v"})
    return {name: array.to_pylist() for name, array in arrays.items()}


def test_windows_end_where_a_series_or_its_steps_do() -> None:
    rows = [(1, 10, 0.5), (1, 11, 1.5), (1, 13, 3.5), (2, 14, 9.0), (2, 15, None)]
    assert cut(rows) == {
        "past": [
            [None, None, 0.5], [None, 0.5, 1.5], [1.5, None, 3.5],
            [None, None, 9.0], [None, 9.0, None],
        ],
        "later": [1.5, None, None, None, None],
    }  # fmt: skip
    assert cut(rows, past=1, ahead=2) == {
        "past": [[0.5], [1.5], [3.5], [9.0], [None]],
        "later": [None, 3.5, None, None, None],
    }


def test_the_first_of_two_rows_of_one_step_counts_and_both_have_windows() -> None:
    assert cut([(1, 0, 1.0), (1, 1, 2.0), (1, 1, 7.0)], past=2) == {
        "past": [[None, 1.0], [1.0, 2.0], [1.0, 2.0]],
        "later": [2.0, None, None],
    }


def test_rows_without_a_key_or_a_time_are_in_no_window_and_have_an_empty_one() -> None:
    assert cut([(None, None, 1.0), (None, None, 2.0), (5, -1, 3.0), (5, 0, 4.0)], past=2) == {
        "past": [[None, None], [None, None], [None, 3.0], [3.0, 4.0]],
        "later": [None, None, 4.0, None],
    }
    assert cut([(None, None, 1.0)], past=1) == {"past": [[None]], "later": [None]}
    assert cut([]) == {"past": [], "later": []}
