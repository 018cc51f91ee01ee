"""The contender: Headrace's prepare stage on the synthetic click log, as a recipe asks for it."""

import os
from typing import Any

from headrace.examples.synthetic import CATEGORICAL, NUMERIC, TEXT_NUMERIC
from headrace.lake.data_file import SPLITS
from headrace.recipe import Recipe
from headrace.recipe.load import recipe_from_tree


def prepare_clicks(lake: str, out: str, workdir: str, extra: tuple[str, ...]) -> dict[str, Any]:
    """Run the stage; its seconds a stage, its files a split and its ledger."""
    from headrace.prepare import prepare
    from headrace.progress import silent

    prepared = prepare(clicks_recipe(lake, out, extra), workdir=workdir, report=silent)
    dataset = prepared.dataset
    return {
        "stages": prepared.seconds,
        "files": {s: [f"{dataset.root}/{file.path}" for file in dataset.files(s)] for s in SPLITS},
    }


def clicks_recipe(lake: str, out: str, extra: tuple[str, ...] = ()) -> Recipe:
    """13 numbers standardized, 26 categories (and `extra`) by vocabulary, split 80/10/10."""
    tree = {
        "name": "clicks",
        "source": {
            "tables": {
                "clicks": {
                    "path": f"{lake}/clicks",
                    "columns": dict.fromkeys(TEXT_NUMERIC, "real"),
                }
            },
            "main": "clicks",
        },
        "clean": {"dedup": {"key": ["event_id"]}},
        "label": {"expression": "label = 1", "kind": "binary"},
        "split": {
            "key": ["event_id"],
            "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1},
        },
        "features": {
            **{name: {"kind": "standardize"} for name in NUMERIC},
            **{name: {"kind": "vocabulary"} for name in (*CATEGORICAL, *extra)},
        },
        "dataset": {"path": out},
        "model": {"kind": "mlp"},
    }
    return recipe_from_tree(tree, source="benchmarks/headrace.py", environment=os.environ)
