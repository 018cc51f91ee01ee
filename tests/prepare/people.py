"""A lake of 40 people, some of them wrong, and the recipe over it: known by heart."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake import DatasetVersion
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe import build_recipe

# 40 rows; what is wrong with row n is said here, all else is fine.
WRONG: dict[int, dict[str, Any]] = {
    1: {"age": None},
    2: {"age": -1.0},
    3: {"age": 200.0, "state": "??"},  # two rules at once
    4: {"age": float("nan")},  # missing, as null is
    5: {"state": "XX"},
    6: {"mail": "nobody"},
    7: {"begin": 9, "end": 3},
    8: {"mail": "a8@x.org", "code": "dup"},
    9: {"mail": "a9@x.org", "code": "dup"},
    10: {"state": None, "mail": None, "code": None},  # null passes everything but not_null
    11: {"code": None},
}


def make_people() -> pa.Table:
    rows = []
    for n in range(40):
        row = {
            "id": n,
            "age": 20.0 + n,
            "state": "NY" if n % 2 else "NJ",
            "mail": f"a{n}@x.org",
            "code": f"c{n}",
            "begin": 1,
            "end": 2,
            "y": n % 3 == 0,
            "note": f"n{n}",  # no feature, no rule: kept in the quarantine all the same
        }
        rows.append(row | WRONG.get(n, {}))
    return pa.Table.from_pylist(rows)


RULES = [
    {"kind": "not_null", "columns": ["age"]},
    {"kind": "range", "column": "age", "min": 0, "max": 150},
    {"kind": "in", "column": "state", "values": ["NY", "NJ"], "on_violation": "drop"},
    {"kind": "regex", "column": "mail", "pattern": "^[^@]+@[^@]+$", "on_violation": "null"},
    {"kind": "expr", "expression": "begin <= end", "name": "in_order"},
    {"kind": "unique", "columns": ["code"]},
]


def make_recipe(workdir: Path, **changes: Any) -> Any:
    tree = {
        "name": "people",
        "source": {"tables": {"people": {"path": "${workdir}/lake/people"}}, "main": "people"},
        "clean": {"rules": RULES, "dedup": {"key": ["id"]}},
        "label": {"expression": "y"},
        "split": {"key": ["id"], "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        "features": {
            "age": {"kind": "standardize"},
            "state": {"kind": "vocabulary"},
            "mail": {"kind": "vocabulary"},
        },
        "dataset": {"path": "${workdir}/dataset", "rows_per_file": 16, "rows_per_row_group": 8},
        "model": {"kind": "mlp"},
    }
    tree |= changes
    return build_recipe(tree, source="people", workdir=str(workdir), environment={})


def build(workdir: Path, table: pa.Table | None = None, **changes: Any) -> DatasetVersion:
    folder = workdir / "lake" / "people"
    if table is not None or not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(make_people() if table is None else table, folder / "part-0.parquet")
    return prepare(
        make_recipe(workdir, **changes), workdir=str(workdir), report=ignore_progress
    ).dataset


def read_quarantine(dataset: DatasetVersion) -> pd.DataFrame:
    frame = pd.read_parquet(f"{dataset.root}/{dataset.build.quarantine}", partitioning=None)
    return frame.sort_values("id").reset_index(drop=True)
