"""Build the tiny lake's dataset, for the tests of this folder."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake import DatasetVersion
from headrace.prepare import BuildRequest, prepare
from headrace.progress import ignore_progress
from tests import tiny


def build_anew(workdir: Path, *overrides: str) -> DatasetVersion:
    """Build everything anew, whether it changed or not."""
    recipe = tiny.tiny_recipe(workdir, *overrides)
    return prepare(
        recipe, workdir=str(workdir), report=ignore_progress, request=BuildRequest(refit=True)
    ).dataset


def read_rows(dataset: DatasetVersion) -> pd.DataFrame:
    """Return every row with its split, but for the raw values beside those of the test split."""
    raw = [i.name for n, i in dataset.build.stored.items() if n not in dataset.build.kept]
    parts = [
        pd.read_parquet(f"{dataset.root}/{f.path}", partitioning=None).assign(split=f.split)
        for f in dataset.build.files
    ]
    return pd.concat(parts, ignore_index=True).drop(columns=raw, errors="ignore")


def write_visits(workdir: Path, frame: pa.Table) -> None:
    pq.write_table(frame, workdir / "lake" / "visits" / "part-0.parquet")


def has_published_nothing(workdir: Path) -> bool:
    return (
        not list((workdir / "dataset").rglob("*.parquet"))
        and not (workdir / "dataset" / "_delta_log").exists()
    )
