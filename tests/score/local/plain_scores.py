"""Models of plain tables, scored with Spark or without it, and what that leaves."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from headrace.progress import Progress, ignore_progress
from headrace.recipe import Recipe
from headrace.score.run import Scored, score
from headrace.source.local import choice

_BUILD_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
# What says when and where a job ran, and not what became of the rows.
_OF_THE_RUN = {"build_id", "created_at", "files", "partitions", "quarantine", "lists"}


def score_table(recipe: Recipe, table: Path, output: Path, workdir: Path, **options: Any) -> Scored:
    """Score a table by the newest model, with the session that runs."""
    return score(
        recipe, table=str(table), output=str(output), workdir=str(workdir),
        report=options.pop("report", ignore_progress),
        **{"model_uri": f"models:/{recipe.name}/1", **options},
    )  # fmt: skip


def score_without_spark(
    recipe: Recipe, table: Path, output: Path, workdir: Path, said: list[str], **options: Any
) -> Scored:
    """Score as if no session ran; what is said is appended to `said`."""

    def report(progress: Progress) -> None:
        said.append(progress.text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "has_session", lambda: False)
        return score_table(recipe, table, output, workdir, report=report, **options)


def read_rows(done: Scored) -> list[str]:
    """Return the rows that a reader of the Delta table sees, sorted, every bit of them."""
    actions = DeltaTable(done.root, version=done.version).get_add_actions(flatten=True)
    rows = []
    for path in actions["path"].to_pylist():
        table = pq.ParquetFile(f"{done.root}/{path}").read()
        table = table.drop_columns(["scored_at"])
        columns = [
            [None if v is None else np.float64(v).tobytes().hex() for v in column.to_pylist()]
            if pa.types.is_float64(column.type)
            else column.to_pylist()
            for column in table.columns
        ]
        folder = str(path).rpartition("/")[0]
        rows += [f"{folder} {table.schema.types} {row}" for row in zip(*columns, strict=True)]
    return sorted(rows)


def digest_scores(done: Scored) -> dict[str, Any]:
    """Return all that must be the same whoever scored."""
    record, root = done.record, Path(done.root)
    plain = {k: v for k, v in record.model_dump().items() if k not in _OF_THE_RUN}
    rejected = [pq.read_table(p) for p in sorted(Path(done.quarantine or "/no").glob("*.parquet"))]
    schema = DeltaTable(done.root, version=done.version).schema()
    return {
        "rows": read_rows(done),
        "record": _BUILD_ID.sub("", repr(plain)),
        "partitions": {p.name: (p.ledger, p.model, p.files) for p in record.partitions},
        "rows of files": {
            name: sum(f.rows for f in record.files if f.partition == name)
            for name in {f.partition for f in record.files}
        },
        "delta": (schema.to_json(), DeltaTable(root).metadata().partition_columns),
        "quarantine": sorted(
            f"{table.schema.names} {table.schema.types} {row}"
            for table in rejected
            for row in table.to_pylist()
        ),
    }  # fmt: skip


def digest_files(done: Scored) -> dict[str, str]:
    """Return the digest of each source partition's file, where it has one."""
    files = {f.partition: Path(done.root, f.path).read_bytes() for f in done.record.files}
    assert len(files) == len(done.record.files)
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
