"""A Delta or Iceberg table after every kind of commit: increments have the rows that it has."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.table import Table
from pyiceberg.types import DoubleType

from tests.lake.iceberg_tables import create_table, rewrite_table, write_hint
from tests.prepare.plain_lakes import KEPT, build, rows_of, sort_rows

pytestmark = pytest.mark.spark


def commit(rng: random.Random, lake: str, first: int) -> str:
    """Make one commit of some kind to a Delta table; return the kind."""
    table = DeltaTable(lake)
    kind = rng.choice(
        ["append", "append", "overwrite", "delete", "merge", "optimize", "vacuum", "schema"]
    )
    count = rng.randrange(5, 40)
    rows = delta_rows(first, count, rng.randrange(1, 5))
    if kind == "append":
        write_deltalake(lake, rows, mode="append", schema_mode="merge")
    elif kind == "overwrite":
        day = rng.randrange(1, 5)
        rows, where = delta_rows(first, count, day), f"day = {day}"
        write_deltalake(lake, rows, mode="overwrite", predicate=where, schema_mode="merge")
    elif kind == "delete":
        table.delete(f"id % 17 = {rng.randrange(17)}")
    elif kind == "merge":
        known = table.to_pyarrow_table(columns=["id", "day"]).slice(0, 9)
        changed = delta_rows(0, known.num_rows, 1)
        changed = changed.set_column(0, "id", known["id"]).set_column(4, "day", known["day"])
        (
            table.merge(
                changed, "s.id = t.id AND s.day = t.day", source_alias="s", target_alias="t"
            )
            .when_matched_update({"x": "s.x + 0.5"})
            .when_not_matched_insert_all()
            .execute()
        )
    elif kind == "optimize":
        table.optimize.compact()
    elif kind == "vacuum":
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    else:
        extra = rows.append_column(f"c{first}", pa.array([1.5] * count))
        write_deltalake(lake, extra, mode="append", schema_mode="merge")
    return kind


def delta_rows(first: int, count: int, day: int) -> pa.Table:
    ids = np.arange(first, first + count)
    return pa.table(
        {
            "id": ids,
            "x": pa.array([None if i % 7 == 0 else float(i % 50) for i in ids], pa.float64()),
            "text": pa.array([None if i % 5 == 0 else f"é{i % 3}" for i in ids], pa.string()),
            "y": ids % 3 == 0,
            "day": np.full(count, day, np.int32),
        }
    )


def list_rows(lake: str) -> dict[str, int]:
    """The files of a Delta table, and their rows."""
    actions = pa.table(DeltaTable(lake).get_add_actions(flatten=True)).to_pydict()
    return dict(zip(actions["path"], actions["num_records"], strict=True))


@pytest.mark.parametrize(("seed", "commits"), [(0, 6), pytest.param(1, 50, marks=pytest.mark.long)])
def test_a_delta_table_after_every_kind_of_commit(tmp_path: Path, seed: int, commits: int) -> None:
    """A night reads what its commit added, and what stands in one file with rows that are gone."""
    rng, lake = random.Random(seed), str(tmp_path / "lake")
    for day in range(1, 5):
        write_deltalake(lake, delta_rows(1000 * day, 60, day), mode="append", partition_by=["day"])
    version = build(tmp_path).version
    kinds, moved = set(), False  # whether rows that were read are in other files than then
    for night in range(commits):
        before = list_rows(lake)
        kinds.add(kind := commit(rng, lake, 10_000 + 1000 * night))
        now = list_rows(lake)
        dataset = build(tmp_path)
        found = rows_of(dataset)
        table = DeltaTable(lake).to_pyarrow_table(columns=KEPT).to_pandas()
        pd.testing.assert_frame_equal(found, sort_rows(table))
        read = dataset.build.processed_ledger.read if dataset.version > version else 0
        if kind in ("optimize", "vacuum"):
            assert read == 0
            moved |= before != now
        elif kind in ("append", "schema") or not moved:
            assert read == sum(rows for name, rows in now.items() if name not in before)
        else:
            gone = {name.partition("/")[0] for name in before.keys() - now.keys()}
            days = {name.partition("/")[0] for name in now.keys() - before.keys()} | gone
            assert read <= sum(rows for name, rows in now.items() if name.split("/")[0] in days)
        assert (dataset.version > version) == (before != now)
        assert dataset.build.snapshots["t"].version <= DeltaTable(lake).version()
        version = dataset.version
        if night % 10 == 9 or night == commits - 1:
            whole = rows_of(build(tmp_path, f"whole-{night}"))
            pd.testing.assert_frame_equal(found, whole)
    assert len(kinds) >= (7 if commits > 20 else 2)


ICEBERG_KINDS = ["append", "rewrite", "delete", "schema", "overwrite", "rewrite"]


def commit_to_iceberg(rng: random.Random, table: Table, kind: str, first: int) -> None:
    """Make one commit of some kind to an Iceberg table."""
    rows = delta_rows(first, rng.randrange(5, 40), rng.randrange(1, 5))
    if kind == "append":
        table.append(rows)
    elif kind == "overwrite":
        day = rng.randrange(1, 5)
        table.overwrite(delta_rows(first, 9, day), overwrite_filter=f"day = {day}")
    elif kind == "delete":
        table.delete(f"id >= {rng.randrange(10) * 1000} and id < {rng.randrange(10) * 1000 + 20}")
    elif kind == "rewrite":
        rewrite_table(table)
    else:
        with table.update_schema() as update:
            update.add_column(f"c{first}", DoubleType())
        table.append(rows)
    write_hint(table)


@pytest.mark.filterwarnings("ignore:Delete operation did not match")
@pytest.mark.parametrize(("seed", "commits"), [(3, 4), pytest.param(4, 20, marks=pytest.mark.long)])
def test_an_iceberg_table_after_every_kind_of_commit(
    tmp_path: Path, seed: int, commits: int
) -> None:
    rng = random.Random(seed)
    table = create_table(tmp_path / "lake", delta_rows(0, 1, 1), by=("day",))
    for day in range(1, 5):
        table.append(delta_rows(1000 * day, 60, day))
    write_hint(table)
    version = build(tmp_path).version
    for night in range(commits):
        before = {task.file.file_path for task in table.scan().plan_files()}
        kind = (ICEBERG_KINDS if night < 6 else rng.sample(ICEBERG_KINDS, 6))[night % 6]
        commit_to_iceberg(rng, table, kind, 10_000 + 1000 * night)
        now = {task.file.file_path for task in table.scan().plan_files()}
        dataset = build(tmp_path)
        found = rows_of(dataset)
        pd.testing.assert_frame_equal(found, sort_rows(table.scan().to_pandas()[KEPT]))
        assert (dataset.version > version) == (before != now)
        if kind == "rewrite" and dataset.version > version:
            assert dataset.build.processed_ledger.read == 0
        assert dataset.build.snapshots["t"].version in {s.snapshot_id for s in table.snapshots()}
        version = dataset.version
    pd.testing.assert_frame_equal(rows_of(build(tmp_path, "whole")), found)
