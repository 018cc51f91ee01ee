"""Recipes of one plain table, prepared with Spark or without it, and what they leave."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake import DatasetVersion
from headrace.prepare import BuildRequest, Prepared, prepare
from headrace.prepare.local import choice
from headrace.prepare.statistics.rows import read_row_sample
from headrace.progress import Progress
from headrace.recipe import Recipe, build_recipe

_BUILD_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


def make_recipe(lake: str | Path, out: str | Path, **changes: Any) -> Recipe:
    """Make a recipe of a plain table; `changes` replace its sections."""
    tree: dict[str, Any] = {
        "name": "plain",
        "source": {"tables": {"t": {"path": str(lake)}}, "main": "t"},
        "label": {"expression": "y = 1", "kind": "binary"},
        "split": {"key": ["id"], "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        "features": {"x": {"kind": "standardize"}, "text": {"kind": "vocabulary"}},
        "dataset": {"path": str(out), "rows_per_file": 100, "rows_per_row_group": 40},
        "model": {"kind": "mlp"},
    }
    return build_recipe({**tree, **changes}, source="plain", environment={})


def prepare_without_spark(
    recipe: Recipe, workdir: Path, said: list[str], request: BuildRequest | None = None
) -> Prepared:
    """Prepare as if no session ran; what is said is appended to `said`."""

    def report(progress: Progress) -> None:
        said.append(progress.text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "has_session", lambda: False)
        return prepare(recipe, workdir=str(workdir), report=report, request=request)


def digest_version(version: DatasetVersion) -> dict[str, Any]:
    """Return all that must be the same whoever prepared a version."""
    root, build = Path(version.root), version.build
    (profile,) = root.rglob(f"*{build.build_id}/profile.json")
    rejected = sorted(root.rglob(f"*{build.build_id}/quarantine/*.parquet"))
    tables = [pq.read_table(path) for path in rejected]
    return {
        "files": {
            _BUILD_ID.sub("", f"{file.partition}/{file.path}"): hashlib.sha256(
                (root / file.path).read_bytes()
            ).hexdigest()
            for file in build.files
        },
        "ledgers": {p.name: p.ledger.model_dump() for p in build.partitions},
        "sources": build.sources,
        "transform": version.transform_json,
        "profile": profile.read_text(),
        "statistics": version.statistics,
        "sample": _digest_sample(version),
        "crossings": build.crossings,
        "class weights": build.class_weights,
        "kept": (build.kept, build.stored, build.key_types),
        "quarantine": _sort_rows(tables) if tables else None,
    }


def _digest_sample(version: DatasetVersion) -> dict[str, Any]:
    """Return the sampled rows and the files that they are in, without ids of builds."""
    sample = read_row_sample(version)
    paths = [_BUILD_ID.sub("", sample.paths[n]) for n in sample.files.tolist()]
    columns = {name: values.tolist() for name, values in sample.columns.items()}
    return {
        "threshold": sample.threshold,
        "rows": [sample.hashes.tolist(), sample.splits.tolist(), paths],
        "columns": {name: list(map(repr, values)) for name, values in columns.items()},
    }


def _sort_rows(tables: list[pa.Table]) -> tuple[Any, ...]:
    rows = pa.concat_tables(tables)
    return rows.schema.names, rows.schema.types, sorted(map(str, rows.to_pylist()))
