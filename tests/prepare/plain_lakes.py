"""Build a dataset of one plain table, and read its rows as a plain reader has them."""

from pathlib import Path
from typing import Any

import pandas as pd

from headrace.lake import DatasetVersion
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe import build_recipe
from tests.prepare.tiny_builds import read_rows

KEPT = ["id", "x", "text"]


def build(workdir: Path, dataset: str = "dataset") -> DatasetVersion:
    tree: dict[str, Any] = {
        "name": "lake",
        "source": {"tables": {"t": {"path": str(workdir / "lake")}}, "main": "t"},
        "label": {"expression": "y"},
        "split": {"key": ["id"], "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        "features": {"x": {"kind": "standardize"}, "text": {"kind": "vocabulary"}},
        "dataset": {"path": str(workdir / dataset), "keep": KEPT},
        "model": {"kind": "mlp"},
    }
    recipe = build_recipe(tree, source="lake", environment={})
    return prepare(recipe, workdir=str(workdir), report=ignore_progress).dataset


def rows_of(dataset: DatasetVersion) -> pd.DataFrame:
    rows = read_rows(dataset)[[f"kept_{name}" for name in KEPT]]
    return sort_rows(rows.rename(columns=lambda name: name.removeprefix("kept_")))


def sort_rows(rows: pd.DataFrame) -> pd.DataFrame:
    typed = pd.DataFrame(
        {
            "id": rows["id"].astype("int64"),
            "x": rows["x"].astype("float64"),
            "text": rows["text"].astype(object).where(rows["text"].notna(), None),
        }
    )
    return typed.sort_values("id", ignore_index=True)
