"""Rows of sharded tables in files, and read back by any other number of ranks."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from headrace.errors import StoreError, TrainError
from headrace.models import table_storage
from headrace.train.checkpoint import SHARD_NAME, Checkpoints
from headrace.train.shard_files import ShardFile, ShardFolder, TableFiles, name_shard_file
from headrace.train.sharded_tables import list_own_rows
from headrace.train.table_shards import TableShards
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads


def make_variable(values: np.ndarray) -> keras.Variable:
    return keras.Variable(values.astype(np.float32), trainable=False)


def write_shards(folder: ShardFolder, table: np.ndarray, ranks: int) -> list[ShardFile]:
    files = []
    for rank in range(ranks):
        name = name_shard_file(7, 0, 0, rank, ranks)
        size, crc, bad = folder.write_variable(name, make_variable(table[rank::ranks]))
        assert bad == 0
        files.append(ShardFile(name, rank, ranks, size, crc))
    return files


@pytest.mark.parametrize("rows", [1, 5, 24, 97])
@pytest.mark.parametrize("before", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("now", [1, 2, 3, 4, 5, 6])
def test_any_number_of_ranks_reads_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, before: int, now: int
) -> None:
    """Pieces of seven rows, so that a file is read in several."""
    monkeypatch.setattr(table_storage.list_chunks, "__defaults__", (21,))
    table = np.arange(rows * 3).reshape(rows, 3)
    folder = ShardFolder(str(tmp_path))
    files = write_shards(folder, table, before)
    assert [folder.find_problem(file) for file in files] == [""] * before
    for rank in range(now):
        own = make_variable(np.full((len(range(rank, rows, now)), 3), -1))
        folder.read_rows(files, own, rank, now)
        np.testing.assert_array_equal(np.asarray(own.numpy()), table[rank::now])


@pytest.mark.parametrize("rows", [range(0), range(10), range(7, 23), range(5, 6)])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_each_row_is_of_one_rank(rows: range, size: int) -> None:
    own = [list_own_rows(rows, rank, size) for rank in range(size)]
    assert sorted(row for part in own for row in part) == list(rows)
    assert all(row % size == rank for rank, part in enumerate(own) for row in part)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "longer"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    folder = ShardFolder(str(tmp_path))
    (file,) = write_shards(folder, np.ones((50, 3)), 1)
    path = tmp_path / file.name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        changed = {
            "flip": content[:-9] + bytes([content[-9] ^ 4]) + content[-8:],
            "cut": content[:-4],
            "longer": content + b"\0",
        }[damage]
        path.write_bytes(changed)
    problem = folder.find_problem(file)
    assert str(path) in problem
    assert ("does not exist" if damage == "gone" else "truncated or damaged") in problem


def test_a_file_is_a_plain_array_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ShardFolder(str(tmp_path / "new"))
    table = np.arange(12).reshape(4, 3)
    (file,) = write_shards(folder, table, 1)
    np.testing.assert_array_equal(np.load(tmp_path / "new" / file.name), table)
    assert TableFiles.from_json(tree := make_tree(file)).to_json() == tree

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headrace.train.shard_files._write_rows", fail)
    with pytest.raises(StoreError, match="No space left"):
        folder.write_variable("step-000000009.table-0.npy", make_variable(table))
    assert [path.name for path in (tmp_path / "new").iterdir()] == [file.name]


def make_tree(file: ShardFile) -> dict[str, Any]:
    return {"layer": "table.3", "rows": 4, "width": 3, "variables": [[file.to_json()]]}


def test_numbers_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    table = np.ones((5, 3))
    table[1, 2], table[4, 0] = np.nan, -np.inf
    *_, bad = ShardFolder(str(tmp_path)).write_variable("x.npy", make_variable(table))
    assert bad == 2


def test_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    folder = ShardFolder(str(tmp_path))
    files = write_shards(folder, np.ones((6, 3)), 1)
    with pytest.raises(TrainError, match="rows of 3 float32, expected 4"):
        folder.read_rows(files, make_variable(np.zeros((6, 4))), 0, 1)


def test_files_go_with_their_checkpoint(tmp_path: Path) -> None:
    """Those of a step without a checkpoint go, too, but not those that are being written."""
    checkpoints = Checkpoints(str(tmp_path))
    for step in (1, 2, 4, 5):
        checkpoints.write_checkpoint("a", step, {}, {})
    for step in (1, 2, 3, 4, 5, 6):
        (tmp_path / "a" / name_shard_file(step, 0, 1, 0, 2)).touch()
    (tmp_path / "a" / f"{name_shard_file(3, 0, 1, 1, 2)}.aside").touch()
    (tmp_path / "a" / "notes.npy").touch()
    checkpoints.remove_older("a", keep=1, best_step=2)
    left = sorted(path.name for path in (tmp_path / "a").iterdir())
    steps = [name[:14] for name in left if SHARD_NAME.match(name)]
    assert steps == ["step-000000002", "step-000000005", "step-000000006"]
    assert "notes.npy" in left
    assert [name for name in left if name.endswith("ckpt")] == [
        "step-000000002.ckpt", "step-000000005.ckpt",
    ]  # fmt: skip
    checkpoints.remove_older("a", keep=0, best_step=None)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["notes.npy"]


def test_a_rank_that_writes_where_rank_0_does_not_look_is_named(tmp_path: Path) -> None:
    """As on hosts whose folders have one name and are not shared."""

    def write(ranks: ThreadCollectives) -> list[dict[str, Any]]:
        table = FakeTable(make_variable(np.ones((3, 2))))
        shards = TableShards([table], keras.optimizers.SGD(), ranks)  # type: ignore[list-item]
        folder = tmp_path / ("one" if ranks.rank == 0 else other)
        return shards.write(str(folder), 4)

    other = "one"
    tree, same = run_on_threads(2, write)
    assert tree == same
    assert [f[1] for f in tree[0]["variables"][0]] == [0, 1]
    other = "two"
    (tmp_path / "one" / name_shard_file(4, 0, 0, 1, 2)).unlink()
    with pytest.raises(StoreError, match=r"rank-00001-of-00002.npy .* all hosts reach"):
        run_on_threads(2, write)


class FakeTable:
    """What a checkpoint needs of a sharded table."""

    rows, width = 6, 2

    def __init__(self, variable: keras.Variable) -> None:
        self.variable = variable
        self.layer = keras.layers.Embedding(6, 2, name="table.2")
