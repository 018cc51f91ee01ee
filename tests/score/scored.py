"""A champion over the daily lake, and how its predictions are read back."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from deltalake import DeltaTable

from headrace.progress import ignore_progress
from headrace.score.run import Scored, score
from headrace.train import train
from tests.prepare.daily import build, daily_recipe, write_day, write_places

SETTINGS = (
    "train={epochs: 3, ranks: 1, global_batch_size: 32}",
    "split.seed=1",
    "score.columns=[place]",
    "evaluate.threshold={choose: max_f1}",
)


def lake_with_model(workdir: Path, *overrides: str, days: int = 3) -> str:
    """Write days of the lake, build a dataset of them and train; return the model's URI."""
    write_places(workdir)
    for day in range(1, days + 1):
        write_day(workdir, day)
    build(workdir, *SETTINGS, *overrides)
    recipe = daily_recipe(workdir, *SETTINGS, *overrides)
    return train(recipe, workdir=str(workdir), report=ignore_progress).model_uri


def score_events(workdir: Path, *overrides: str, output: str = "scores", **options: Any) -> Scored:
    """Score the lake's events."""
    recipe = daily_recipe(workdir, *SETTINGS, *overrides)
    defaults: dict[str, Any] = {
        "table": str(workdir / "lake" / "events"),
        "output": str(workdir / output),
        "model_uri": "models:/daily/1",
    }
    return score(recipe, workdir=str(workdir), report=ignore_progress, **{**defaults, **options})


def read_predictions(done: Scored) -> pd.DataFrame:
    """Return what a reader of the Delta table sees, by key.

    It is read by its log and its files: deltalake's own reader wants a newer pyarrow.
    """
    actions = DeltaTable(done.root, version=done.version).get_add_actions(flatten=True)
    paths = [str(path) for path in actions["path"].to_pylist()]
    days = actions["partition.day"].to_pylist()
    parts = [
        pq.ParquetFile(f"{done.root}/{path}").read().to_pandas().assign(day=day)
        for path, day in zip(paths, days, strict=True)
    ]
    return pd.concat(parts).sort_values("event", ignore_index=True)
