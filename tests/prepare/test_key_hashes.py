"""Hashes of published keys: sorted, small, and told from those of other partitions."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headrace.columns.person_key import PersonKey
from headrace.errors import DamagedError
from headrace.lake.erase import erase_from_sidecars
from headrace.lake.sidecar import write_sidecar_files
from headrace.prepare.key_hashes import (
    INDEX_FILE,
    KeyHashIndex,
    TaskKeyHashes,
    count_matches,
    locate_key_hashes,
    read_key_hashes,
    shorten_row_ids,
)


def write_hashes(root: Path, rows: dict[str, list[int]], target: int = 3) -> str:
    """One file with the row ids of partitions; returns its path."""
    hashes = TaskKeyHashes(str(root), "B", attempt=1)
    for partition, row_ids in rows.items():
        hashes.add_rows(partition, target, np.array(row_ids, np.int64))
    written = hashes.write_file()
    assert written is not None
    assert written[1] == {partition: len(row_ids) for partition, row_ids in rows.items()}
    return f"{locate_key_hashes(str(root), 'B')}/{written[0]}"


def test_a_hash_is_the_first_48_bits() -> None:
    row_ids = np.array([0, 0x12345678_9ABC_FFFF, -1], np.int64)
    assert shorten_row_ids(row_ids).tolist() == [0, 0x12345678_9ABC, 2**48 - 1]


def test_hashes_are_read_by_partition_and_in_order(tmp_path: Path) -> None:
    one = 1 << 16
    path = write_hashes(tmp_path, {"day=2": [9 * one, 7 * one], "day=1": [8 * one, 8 * one, -1]})
    assert path == f"{tmp_path}/_headrace/B/key_hashes/00003-1.parquet"
    runs = read_key_hashes(path, {"day=1", "day=2", "day=3"})
    assert {name: run.tolist() for name, run in runs.items()} == {
        "day=1": [8, 8, 2**48 - 1],
        "day=2": [7, 9],
    }
    assert [*read_key_hashes(path, {"day=2"})] == ["day=2"]


def test_a_task_without_rows_writes_nothing(tmp_path: Path) -> None:
    assert TaskKeyHashes(str(tmp_path), "B", attempt=0).write_file() is None
    assert not (tmp_path / "_headrace").exists()


def test_a_hash_takes_five_bytes_at_most(tmp_path: Path) -> None:
    """65,536 rows are a file by default; the gaps of a million are shorter."""
    rng = np.random.default_rng(1)
    bits = np.iinfo(np.int64)
    for rows, most in ((65_536, 5.0), (1_000_000, 4.4)):
        path = write_hashes(tmp_path, {"day=1": rng.integers(bits.min, bits.max, rows).tolist()})
        assert Path(path).stat().st_size / rows < most


def test_an_index_tells_files_and_rows(tmp_path: Path) -> None:
    index = KeyHashIndex.from_files({"b": {"day=1": 2}, "a": {"day=1": 3, "day=2": 1}})
    assert (index.files, index.rows) == (("a", "b"), {"day=1": 5, "day=2": 1})
    write_sidecar_files(str(tmp_path), "B", {INDEX_FILE: index.to_json()})
    assert KeyHashIndex.read(str(tmp_path), "B") == index
    assert KeyHashIndex.read(str(tmp_path), "older") == KeyHashIndex((), {})
    (tmp_path / "_headrace/B" / INDEX_FILE).write_text('{"files": [], "rows": {}}')
    with pytest.raises(DamagedError, match=r"key_hashes\.json is damaged"):
        KeyHashIndex.read(str(tmp_path), "B")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = Path(write_hashes(tmp_path, {"day=1": [*range(0, 1 << 30, 1 << 17)]}))
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 8]) + whole[201:])
    with pytest.raises(DamagedError, match="key_hashes"):
        read_key_hashes(str(path), {"day=1"})
    table = pq.read_table(write_hashes(tmp_path, {"day=1": [1 << 20, 2 << 20]}))
    pq.write_table(table.take([1, 0]), path)
    with pytest.raises(DamagedError, match="not sorted"):
        read_key_hashes(str(path), {"day=1"})


@pytest.mark.parametrize(
    ("hashes", "wanted", "found"),
    [
        ([1, 3, 5], [2, 4], 0),
        ([1, 3, 5], [3], 1),
        ([1, 3, 5], [0, 1, 2, 3, 4, 5, 6], 3),
        ([5], [1, 5, 9], 1),
        ([], [1], 0),
        ([1], [], 0),
        ([9], [1], 0),  # beyond the last
    ],
)
def test_hashes_are_found(hashes: list[int], wanted: list[int], found: int) -> None:
    assert count_matches(np.array(hashes, np.int64), np.array(wanted, np.int64)) == found


def test_erasure_takes_hashes_of_partitions_out_that_the_build_has_no_more(tmp_path: Path) -> None:
    path = write_hashes(tmp_path, {"day=1": [1 << 16, 2 << 16], "day=2": [3 << 16]})
    key = PersonKey({"user": "4711"})
    done = erase_from_sidecars(str(tmp_path), key, {"B": ["day=2"]}, newest="C")
    assert done.rows == {"_headrace/B/key_hashes/00003-1.parquet": 2}
    runs = read_key_hashes(path, {"day=1", "day=2"})
    assert {name: run.tolist() for name, run in runs.items()} == {"day=2": [3]}
    # those of another build that were merged stay
    erase_from_sidecars(str(tmp_path), key, {}, newest="C", hashed={"B": ["day=2"]})
    assert [*read_key_hashes(path, {"day=1", "day=2"})] == ["day=2"]
    erase_from_sidecars(str(tmp_path), key, {"B": ["day=2"]}, newest="C", hashed={})
    assert read_key_hashes(path, {"day=1", "day=2"}) == {}
