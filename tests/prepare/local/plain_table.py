"""Plain tables and recipes of them, prepared with Spark or without it, and what they leave."""

import hashlib
import random
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake import DatasetVersion
from headrace.prepare import BuildRequest, Prepared, prepare
from headrace.prepare.statistics.rows import read_row_sample
from headrace.progress import Progress
from headrace.recipe import Recipe, build_recipe
from headrace.source.local import choice

_BUILD_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
WORDS = ["a", "b", "", "\u00e9t\u00e9", "a b", "x" * 40, "1", "null", "\u4e2d", "n/a"]
CSV_COLUMNS = {
    "id": "integer", "y": "integer", "x": "real", "small": "integer", "at": "timestamp",
    "price": "real", "good": "boolean", "on": "date",
}  # fmt: skip


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


def draw_table(rng: random.Random, rows: int, first: int) -> pa.Table:
    """Draw rows: keys that come again, nulls, texts that are no numbers."""

    def draw(make: Any, nulls: float = 0.1) -> list[Any]:
        return [None if rng.random() < nulls else make() for _ in range(rows)]

    moment = datetime(2026, 1, 1, tzinfo=UTC)
    numbers = ["1", "2.5", "-3e2", "n/a", "", "12 kg", "0.125"]
    return pa.table(
        {
            "id": pa.array(draw(lambda: first + rng.randrange(rows), 0.02), pa.int64()),
            "y": pa.array(draw(lambda: rng.randrange(2), 0.05), pa.int32()),
            "x": pa.array(draw(lambda: rng.choice([rng.gauss(0, 1), float("nan"), -0.0]))),
            "n": pa.array(draw(lambda: rng.randrange(5)), pa.int64()),
            "text": pa.array(draw(lambda: rng.choice(WORDS)), pa.string()),
            "number": pa.array(draw(lambda: rng.choice(numbers)), pa.string()),
            "small": pa.array(draw(lambda: rng.randrange(-100, 100)), pa.int8()),
            "at": pa.array(
                draw(lambda: moment + timedelta(minutes=rng.randrange(10_000))),
                pa.timestamp("us", "UTC"),
            ),
            "price": pa.array(draw(lambda: round(rng.uniform(1, 1000), 2))),
            "clock": pa.array(
                draw(lambda: datetime(2026, 1, rng.randrange(1, 9), rng.randrange(24))),
                pa.timestamp("ms"),
            ),
            "on": pa.array(draw(lambda: date(2026, 1, rng.randrange(1, 9))), pa.date32()),
            "good": pa.array(draw(lambda: rng.random() < 0.5)),
        }
    )


def write_lake(lake: Path, rng: random.Random, days: int, rows: int) -> None:
    for day in range(days):
        folder = lake / f"day=2026-01-0{day + 1}"
        folder.mkdir(parents=True)
        table = draw_table(rng, rows, 37 * day)
        pq.write_table(table, folder / "part-0.parquet", row_group_size=rng.choice([64, 1000]))


def write_csv(path: Path, rng: random.Random, rows: int, null: str, end: str) -> None:
    """Write lines without quotes; some values are none of their columns' types."""
    lines = ["id;y;x;small;text;at;price;good;on"]
    for n in range(rows):
        values = [
            str(n), str(rng.randrange(2)), f"{rng.gauss(0, 1):.3f}", str(rng.randrange(9)),
            rng.choice(["a", "b c", "\u00e9", "1"]), f"2026-01-0{rng.randrange(1, 9)} 10:30:00",
            f"{rng.uniform(1, 99):.2f}", rng.choice(["true", "false", "T"]), "2026-02-01",
        ]  # fmt: skip
        if rng.random() < 0.3:
            values[rng.randrange(1, 9)] = rng.choice(["", null])
        if rng.random() < 0.1:
            values[rng.choice([2, 3, 6, 7])] = "n/a"
        lines.append(";".join(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode())
