"""Row ids of some source partitions of a file, wherever its row groups end."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import DamagedError
from headrace.prepare.shuffle.run_row_ids import describe_runs, read_run_row_ids
from tests.lake.building import make_file

FILE = make_file("x.parquet", ("a", 3), ("b", 1), ("c", 4), ("a", 2))
IDS = {"a": [[0, 1, 2], [8, 9]], "b": [[3]], "c": [[4, 5, 6, 7]]}


@pytest.mark.parametrize("rows_per_row_group", range(1, 12))
@pytest.mark.parametrize("wanted", ["a", "b", "c", "ab", "bc", "abc"])
def test_runs_are_read_and_nothing_else(
    tmp_path: Path, rows_per_row_group: int, wanted: str
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"row_id": range(10)}), path, row_group_size=rows_per_row_group)
    found = read_run_row_ids(str(path), describe_runs(FILE, {*wanted, "z"}))
    assert [name for name, _ in found] == [n for n in "abca" if n in wanted]
    for name in wanted:
        assert [ids.tolist() for other, ids in found if other == name] == IDS[name]


def test_a_file_with_fewer_rows_than_its_runs_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"row_id": range(9)}), path, row_group_size=4)
    with pytest.raises(DamagedError, match="it has fewer than 10 rows"):
        read_run_row_ids(str(path), describe_runs(FILE, {"a"}))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedError, match=r"x.parquet is damaged"):
        read_run_row_ids(str(path), describe_runs(FILE, {"a"}))
