"""Run Headrace's prepare stage on the synthetic click log, with a recipe."""

import os
from typing import Any

from headrace.examples.synthetic import CATEGORICAL, NUMERIC, TEXT_NUMERIC
from headrace.lake.data_file import SPLITS
from headrace.recipe import Recipe
from headrace.recipe.load import build_recipe


def prepare_clicks(
    lake: str, out: str, workdir: str, extra: tuple[str, ...], *, with_spark: bool = False
) -> dict[str, Any]:
    """Run the stage, and return the seconds of each step and the files of each split."""
    from headrace.prepare import prepare
    from headrace.progress import ignore_progress

    prepared = prepare(
        build_clicks_recipe(lake, out, extra, with_spark=with_spark),
        workdir=workdir,
        report=ignore_progress,
    )
    dataset = prepared.dataset
    return {
        "stages": prepared.seconds,
        "files": {
            s: [f"{dataset.root}/{file.path}" for file in dataset.list_files(s)] for s in SPLITS
        },
    }


def build_clicks_recipe(
    lake: str,
    out: str,
    extra: tuple[str, ...] = (),
    numbers: str = "standardize",
    *,
    with_spark: bool = False,
) -> Recipe:
    """Build the recipe: 13 numbers, 26 and `extra` vocabularies, split 80/10/10.

    Args:
        lake, out: folders of the lake and of the dataset.
        extra: further vocabularies.
        numbers: kind of the features of numbers.
        with_spark: whether Spark prepares it, however few rows there are.
    """
    tree: dict[str, Any] = {
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
            **{name: {"kind": numbers} for name in NUMERIC},
            **{name: {"kind": "vocabulary"} for name in (*CATEGORICAL, *extra)},
        },
        "dataset": {"path": out},
        "model": {"kind": "mlp"},
    }
    if with_spark:
        tree["spark"] = {"above_rows": 0}
    return build_recipe(tree, source="benchmarks/headrace.py", environment=os.environ)
