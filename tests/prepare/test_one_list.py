"""Whatever lies in a folder: a full build, the increments and a plain reader have the same rows.

The lakes are such as other people make: subfolders, odd names, hidden files, columns under another
case, of other types, or missing, and a Delta table after every kind of commit.
"""

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.table import Table
from pyiceberg.types import DoubleType

from headrace.errors import HeadraceError
from headrace.lake import DatasetVersion
from headrace.lake.version import find_newest_version
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe import build_recipe
from tests.lake.iceberg_tables import create_table, rewrite_table, write_hint
from tests.lake.test_walk import without_privileges
from tests.prepare.tiny_builds import read_rows

pytestmark = pytest.mark.spark

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


def make_rows(rng: random.Random, first: int, count: int) -> pa.Table:
    """Rows as one of many writers would have them."""
    ids = range(first, first + count)
    x = [None if i % 7 == 0 else float(i % 50) for i in ids]
    kind = rng.choice([pa.float64(), pa.float32(), pa.int32(), pa.int64()])
    names = {"id": pa.array(ids, rng.choice([pa.int64(), pa.int32()]))}
    names[rng.choice(["x", "x", "X"])] = pa.array(x).cast(kind)
    if rng.random() < 0.8:
        text = pa.array([None if i % 5 == 0 else f"é{i % 3}" for i in ids])
        names[rng.choice(["text", "Text"])] = text.dictionary_encode() if count % 2 else text
    elif rng.random() < 0.5:
        names["text"] = pa.nulls(count)
    names["y"] = pa.array([i % 3 == 0 for i in ids])
    if rng.random() < 0.3:  # what nobody uses
        names["at"] = pa.array([1] * count, pa.time64("us"))
    shuffled = [*names]
    rng.shuffle(shuffled)
    return pa.table({name: names[name] for name in shuffled})


def list_data(lake: Path, is_sink: bool) -> list[Path]:
    """The files that are data, as a person finds them."""
    files = list_sink(lake) if is_sink else lake.rglob("*.parquet")
    return sorted(
        file for file in files if not any(p[0] in "._" for p in file.relative_to(lake).parts)
    )


def read_plainly(files: list[Path]) -> pd.DataFrame:
    """The rows of files, as a person reads them."""
    parts = []
    for file in files:
        rows = pq.read_table(file, partitioning=None).to_pandas()
        rows = rows.rename(columns=str.lower)
        parts.append(rows.reindex(columns=KEPT))
    return sort_rows(pd.concat(parts, ignore_index=True))


def write_file(rng: random.Random, lake: Path, first: int) -> None:
    day = lake / f"day={rng.randrange(1, 5)}"
    folder = rng.choice([day, day / "part", day / "a b" / "größe"])
    folder.mkdir(parents=True, exist_ok=True)
    rows = make_rows(rng, first, rng.randrange(5, 60))
    name = rng.choice(["part", "x#1", "50%", "a=b", "[1]", "{2}"])
    pq.write_table(rows, folder / f"{name}-{first}.parquet", row_group_size=11)


def write_sink_batch(rng: random.Random, lake: Path, first: int) -> None:
    """Commit a batch of a streaming sink, or die before: then its file is no data.

    Every third batch has those before it, as a sink writes them from time to time.
    """
    batches = [path for path in (lake / "_spark_metadata").iterdir() if path.name[0] != "."]
    latest = max(batches, key=lambda path: int(path.name.partition(".")[0]))
    written = set(lake.rglob("*.parquet"))
    write_file(rng, lake, first)
    if rng.random() < 0.3:
        return
    (new,) = set(lake.rglob("*.parquet")) - written
    number = int(latest.name.partition(".")[0]) + 1
    is_compact = number % 3 == 2
    before = [list_entry(path) for path in sorted(list_sink(lake))] if is_compact else []
    name = f"{number}.compact" if is_compact else str(number)
    lines = ["v1", *before, list_entry(new)]
    (lake / "_spark_metadata" / name).write_text("\n".join(lines))


def start_sink(lake: Path) -> None:
    """Make the sink of a streaming query of a folder, with the files that it has."""
    lines = ["v1", *(list_entry(path) for path in sorted(lake.rglob("*.parquet")))]
    (lake / "_spark_metadata").mkdir()
    (lake / "_spark_metadata" / "0").write_text("\n".join(lines))


def list_entry(file: Path) -> str:
    entry = {"path": f"file://{quote(str(file))}", "size": 1, "isDir": False, "action": "add"}
    return json.dumps(entry)


def list_sink(lake: Path) -> set[Path]:
    """The files of a sink by its whole log, batch by batch, compacted ones left out."""
    names: set[Path] = set()
    for log in (lake / "_spark_metadata").iterdir():
        for line in log.read_text().splitlines()[1:]:
            names.add(Path(unquote(json.loads(line)["path"]).removeprefix("file://")))
    return names


@contextmanager
def close_folder(rng: random.Random, files: list[Path]) -> Iterator[str]:
    """Have a folder of some of the files not be listed, by a user to whom modes apply."""
    closed = rng.choice(files).parent
    mode = closed.stat().st_mode
    closed.chmod(0)
    try:
        with without_privileges():
            yield str(closed)
    finally:
        closed.chmod(mode)


def write_no_data(rng: random.Random, lake: Path, first: int) -> None:
    hidden = lake / f"day={rng.randrange(1, 5)}" / rng.choice(["_tmp", ".part", "_old/deep"])
    hidden.mkdir(parents=True, exist_ok=True)
    pq.write_table(make_rows(rng, first, 9), hidden / "a.parquet")
    (lake / rng.choice(["_SUCCESS", "_metadata", ".x.crc"])).write_bytes(b"no data")


@pytest.fixture
def open_workdir() -> Iterator[Path]:
    """A folder that every user reaches; pytest's own are closed to others."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.usefixtures("spark")  # of which the folder of this test is not the scratch
@pytest.mark.parametrize(
    ("seed", "is_sink"),
    [
        (0, False),
        *(pytest.param(s, False, marks=pytest.mark.long) for s in range(1, 7)),
        (7, True),
        *(pytest.param(s, True, marks=pytest.mark.long) for s in range(8, 13)),
    ],
)
def test_the_same_rows_whichever_way(open_workdir: Path, seed: int, is_sink: bool) -> None:
    rng, lake = random.Random(seed), open_workdir / "lake"
    first = 0
    # The types of the first night hold those of all others, so that no night fits again.
    for day in range(1, 4):
        (lake / f"day={day}").mkdir(parents=True)
        rows = pa.table({"id": range(first, first + 90), "x": np.arange(90) % 50.0})
        rows = rows.append_column("text", pa.array([f"é{i % 3}" for i in range(90)]))
        rows = rows.append_column("y", pa.array([i % 3 == 0 for i in range(90)]))
        pq.write_table(rows, lake / f"day={day}" / "first.parquet")
        first += 1000
    if is_sink:
        start_sink(lake)
    newest = build(open_workdir).version
    for night in range(3):
        for _ in range(rng.randrange(1, 4)):
            write = write_sink_batch if is_sink else write_file
            action = rng.choice([write, write, write_no_data])
            action(rng, lake, first)
            first += 1000
        if night == 1 and not is_sink:
            shutil.rmtree(lake / "day=2")
        data = list_data(lake, is_sink)
        with close_folder(rng, data) as closed, pytest.raises(HeadraceError) as refused:
            build(open_workdir)
        assert closed in str(refused.value)  # and the dataset is what it was
        assert find_newest_version(str(open_workdir / "dataset")) == newest
        dataset = build(open_workdir)
        newest = dataset.version
        found = rows_of(dataset)
        pd.testing.assert_frame_equal(found, read_plainly(data))
    pd.testing.assert_frame_equal(rows_of(build(open_workdir, "whole")), found)


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
