"""A lake of 600 shops visits and 4 shops, and the recipe over it: small, dirty, known by heart.

Of 600 visits, 6 have no label (every 100th), and 5 are exact duplicates of others, so 589 are
published. Shop "d" has no row in `shops`, and some numbers and texts are null or NaN.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.recipe import Recipe, build_recipe

ROWS, UNLABELLED, DUPLICATES = 600, 6, 5


def visits() -> pa.Table:
    rng = np.random.default_rng(7)
    number = np.arange(ROWS - DUPLICATES)
    amount = rng.normal(50, 10, len(number))
    late = (amount + rng.normal(0, 5, len(number))) > 50
    table = pa.table(
        {
            "visit": pa.array(number, pa.int64()),
            "day": pa.array(number % 60 + 1, pa.int64()),
            "shop": pa.array([None if n % 50 == 7 else "abcd"[n % 4] for n in number]),
            "amount": pa.array(
                [None if n % 40 == 3 else a for n, a in zip(number, amount, strict=True)]
            ),
            "clock": pa.array((number % 24) * 100 + 30, pa.int64()),
            "note": pa.array(["", "é", "日本", None][n % 4] for n in number),
            "late": pa.array(
                [None if n % 100 == 99 else bool(x) for n, x in zip(number, late, strict=True)]
            ),
        }
    )
    # rows without a label: 99, 199, …, 499 are 5 of 595, and one more
    late_values = table["late"].to_pylist()
    late_values[594] = None
    table = table.set_column(6, "late", pa.array(late_values))
    return pa.concat_tables([table, table.slice(10, DUPLICATES)])


def shops() -> pa.Table:
    return pa.table({"shop": ["a", "b", "c"], "size": pa.array([1.5, None, 3.0])})


def write_tiny_lake(folder: Path) -> Path:
    for name, table in {"visits": visits(), "shops": shops()}.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(table, folder / name / "part-0.parquet")
    return folder


TREE: dict[str, Any] = {
    "name": "tiny",
    "source": {
        "tables": {
            "visits": {"path": "${workdir}/lake/visits"},
            "shops": {"path": "${workdir}/lake/shops"},
        },
        "main": "visits",
        "joins": [{"table": "shops", "key": ["shop"], "columns": {"size": "size"}}],
    },
    "clean": {"dedup": {"key": ["visit"]}},
    "label": {"expression": "late"},
    "split": {
        "key": ["day"],
        "seed": 3,
        "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2},
    },
    "derive": {"hour": {"kind": "hour_of_day", "columns": ["clock"]}},
    "features": {
        "amount": {"kind": "standardize"},
        "size": {"kind": "standardize"},
        "shop": {"kind": "vocabulary"},
        "hour": {"kind": "vocabulary"},
        "note": {"kind": "hash", "buckets": 8},
    },
    "dataset": {"path": "${workdir}/dataset", "rows_per_file": 200, "rows_per_row_group": 50},
    "model": {"kind": "mlp", "hidden": [8]},
    "train": {"epochs": 2, "global_batch_size": 64, "ranks": 1},
    "stream": {"canonical_shards": 8},
    "evaluate": {"gates": []},  # two epochs on so few rows learn next to nothing
    "spark": {"conf": {"spark.sql.shuffle.partitions": 4}},
}


def tiny_tree() -> dict[str, Any]:
    return copy.deepcopy(TREE)


def tiny_recipe(workdir: Path, *overrides: str) -> Recipe:
    return build_recipe(
        tiny_tree(), source="tiny", overrides=overrides, workdir=str(workdir), environment={}
    )
