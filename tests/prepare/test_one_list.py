"""Whatever lies in a folder: a full build, the increments and a plain reader have the same rows.

The lakes are such as other people make: subfolders, odd names, hidden files, columns under another
case, of other types, or missing. Tables with a log are in `test_every_commit.py`.
"""

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import HeadraceError
from headrace.lake.version import find_newest_version
from tests.lake.test_walk import without_privileges
from tests.prepare.plain_lakes import KEPT, build, rows_of, sort_rows

pytestmark = pytest.mark.spark


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
