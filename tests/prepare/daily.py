"""A lake that grows by a day, with keys that come again on later days; and its recipe."""

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake import DatasetVersion
from headrace.prepare import BuildRequest, Prepared, prepare
from headrace.progress import ignore_progress
from headrace.recipe import Recipe, build_recipe

TREE: dict[str, Any] = {
    "name": "daily",
    "source": {
        "tables": {
            "events": {"path": "${workdir}/lake/events"},
            "places": {"path": "${workdir}/lake/places"},
        },
        "main": "events",
        "joins": [{"table": "places", "key": ["place"], "columns": {"height": "height"}}],
    },
    "clean": {
        "dedup": {"key": ["event"], "latest_by": "at"},
        "rules": [{"kind": "range", "column": "x", "min": 0}],
    },
    "label": {"expression": "y"},
    "split": {
        "key": ["event"],
        "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2},
    },
    "features": {
        "x": {"kind": "standardize"},
        "height": {"kind": "standardize"},
        "place": {"kind": "vocabulary"},
    },
    "dataset": {"path": "${workdir}/dataset", "rows_per_file": 100, "rows_per_row_group": 50},
    "model": {"kind": "mlp"},
    "spark": {"conf": {"spark.sql.shuffle.partitions": 2}},
}


def day_of(day: int, *, rows: int = 150, first: int | None = None, at: int = 0) -> pa.Table:
    """Rows of events `first` and following, by default no other day's; a few x are negative."""
    rng = np.random.default_rng(1000 * day + at)
    begin = 1000 * day if first is None else first
    event = np.arange(begin, begin + rows)
    x = rng.normal(50, 10, rows)
    x[:3] *= -1  # out by the rule
    return pa.table(
        {
            "event": event,
            "at": np.full(rows, 10 * day + at),
            "x": x,
            "place": [("a", "b", None, "d")[n] for n in rng.integers(0, 4, rows)],
            "y": rng.random(rows) < 0.5,
        }
    )


def write_places(workdir: Path, height: float = 1.0) -> None:
    folder = workdir / "lake" / "places"
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"place": ["a", "b"], "height": [height, 2.0]})
    pq.write_table(table, folder / "part-0.parquet")


def write_day(workdir: Path, day: int, *tables: pa.Table, file: str = "part-0") -> None:
    """The source partition `day=…`, as one file that replaces what was there."""
    folder = workdir / "lake" / "events" / f"day={day:02}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables or [day_of(day)]), folder / f"{file}.parquet")


def remove_day(workdir: Path, day: int) -> None:
    shutil.rmtree(workdir / "lake" / "events" / f"day={day:02}")


def daily_recipe(workdir: Path, *overrides: str) -> Recipe:
    tree = copy.deepcopy(TREE)  # overrides are written into it
    return build_recipe(
        tree, source="daily", overrides=overrides, workdir=str(workdir), environment={}
    )


def build(workdir: Path, *overrides: str, **options: Any) -> Prepared:
    recipe = daily_recipe(workdir, *overrides)
    return prepare(
        recipe, workdir=str(workdir), report=ignore_progress, request=BuildRequest(**options)
    )


def read_rows(dataset: DatasetVersion) -> pd.DataFrame:
    """Return every row with its split, in one order."""
    parts = [
        pd.read_parquet(f"{dataset.root}/{f.path}", partitioning=None).assign(split=f.split)
        for f in dataset.build.files
    ]
    whole = pd.concat(parts, ignore_index=True)
    return whole.sort_values(list(whole.columns), ignore_index=True)


def rebuild(workdir: Path, dataset: DatasetVersion, *overrides: str) -> DatasetVersion:
    """Process everything of the lake as it is now with the same transform, in a copy."""
    copy = workdir / f"copy-{dataset.version}"
    shutil.copytree(dataset.root, copy)
    prepared = build(workdir, f"dataset.path={copy}", *overrides, full=True)
    assert prepared.published
    return prepared.dataset


def list_processed(prepared: Prepared) -> set[str]:
    """Return the source partitions that the build read."""
    build = prepared.dataset.build
    return {p.name for p in build.partitions if p.build_id == build.build_id}


def assert_same_rows(dataset: DatasetVersion, expected: DatasetVersion) -> None:
    pd.testing.assert_frame_equal(read_rows(dataset), read_rows(expected))
