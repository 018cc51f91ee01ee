"""Measure what the statistics of columns cost a build: processor seconds with and without them.

    python -m benchmarks.statistics_cost --rows 200000 --columns 16 --runs 5

Runs alternate, in one process and without Spark, so that both see the same machine; what is printed
are medians of processor seconds of user and system, and their ratio.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.prepare import BuildRequest, prepare
from headrace.prepare import build as builds
from headrace.progress import ignore_progress
from headrace.recipe import Recipe, build_recipe
from headrace.source.local import choice


def write_table(path: Path, rows: int, columns: int) -> dict[str, Any]:
    """Write a table of three quarters numbers and one quarter texts; return its features."""
    rng = np.random.default_rng(0)
    table: dict[str, Any] = {"id": np.arange(rows), "y": (rng.random(rows) < 0.3).astype(np.int32)}
    features: dict[str, Any] = {}
    for number in range(columns):
        name = f"c{number}"
        if number % 4 == 3:
            table[name] = pa.array([f"shop {n}" for n in rng.zipf(1.3, rows) % 5000])
            features[name] = {"kind": "vocabulary"}
        else:
            values = rng.lognormal(size=rows)
            table[name] = pa.array(np.where(rng.random(rows) < 0.02, np.nan, values),
                                   from_pandas=True)  # fmt: skip
            features[name] = {"kind": "standardize"}
    pq.write_table(pa.table(table), path)
    return features


def measure_build(recipe: Recipe, folder: Path, with_statistics: bool) -> float:
    """Return the processor seconds of a full build."""
    choose = builds.choose_sample if with_statistics else (lambda *_: None)
    with (
        patch.object(builds, "choose_sample", choose),
        patch.object(choice, "_CELLS_ALONE", 10**12),  # in this process, whose time is measured
    ):
        start = time.process_time()
        prepare(recipe, workdir=str(folder), report=ignore_progress,
                request=BuildRequest(full=True))  # fmt: skip
        return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lake").mkdir()
        features = write_table(folder / "lake" / "p.parquet", options.rows, options.columns)
        tree = {
            "name": "cost",
            "source": {"tables": {"t": {"path": str(folder / "lake")}}, "main": "t"},
            "label": {"expression": "y = 1", "kind": "binary"},
            "split": {"key": ["id"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}},
            "features": features,
            "dataset": {"path": str(folder / "dataset")},
            "model": {"kind": "mlp"},
        }
        recipe = build_recipe(tree, source="cost", environment={})
        measure_build(recipe, folder, True)  # imports
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(options.runs):
            for with_statistics in (False, True):
                seconds[with_statistics].append(measure_build(recipe, folder, with_statistics))
    medians = {with_: statistics.median(values) for with_, values in seconds.items()}
    print(
        json.dumps(
            {
                "rows": options.rows, "columns": options.columns, "runs": options.runs,
                "without": medians[False], "with": medians[True],
                "ratio": medians[True] / medians[False], "all": [seconds[False], seconds[True]],
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
