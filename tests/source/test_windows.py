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
from headrace.transform.spec import TransformSpec
from tests.prepare.tiny_builds import rows_of

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]

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
    rows = rows_of(dataset)
    return rows.set_index(np.rint(np.expm1(rows["row"].astype(float))).astype(int)).sort_index()


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


def test_the_order_of_the_lake_does_not_matter(tmp_path: Path) -> None:
    first = build(tmp_path)
    table = series()
    order = np.random.default_rng(5).permutation(table.num_rows)
    (tmp_path / "lake" / "part-0.parquet").unlink()
    for number, part in enumerate(np.array_split(order, 5)):
        pq.write_table(table.take(pa.array(part)), tmp_path / "lake" / f"p{number}.parquet")
    assert build(tmp_path, lake=table.slice(0, 0)).digest == first.digest


def test_standardized_labels(tmp_path: Path) -> None:
    label = {"expression": "later", "kind": "regression", "standardize": True}
    dataset = build(tmp_path, label=label)
    spec = TransformSpec.from_json(dataset.transform_json)
    rows = by_row(dataset)
    train = rows[rows["split"] == "train"]["label"]
    assert train.mean() == pytest.approx(0, abs=1e-6)
    assert train.std(ddof=0) == pytest.approx(1, rel=1e-6)
    assert rows.loc[9, "label"] * spec.label.scale + spec.label.center == pytest.approx(11)
