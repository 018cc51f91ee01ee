"""What tasks counted of files: sums that add up, and files that are joined to one."""

from pathlib import Path

import numpy as np
import pytest

from headrace.lake.profile import FileTally
from headrace.prepare.write.task_tallies import (
    TaskTallies,
    join_tallies,
    locate_tallies,
    read_sums,
    sum_by_split,
)


def make_tally(path: str, *counts: int, unknown: int = 0, missing: int = 0) -> FileTally:
    return FileTally(path, {"x": np.array(counts)}, {"x": unknown}, {"raw": missing})


def test_sums_are_of_one_split_each() -> None:
    a, b = make_tally("a", 1, 2, unknown=3), make_tally("b", 10, 20, unknown=30, missing=7)
    train, test = sum_by_split([("train", a), ("test", a), ("train", b)])
    assert (train.path, train.counts["x"].tolist()) == ("train", [11, 22])
    assert (train.unknown, train.missing) == ({"x": 33}, {"raw": 7})
    assert (test.path, test.counts["x"].tolist(), test.missing) == ("test", [1, 2], {"raw": 0})
    assert a.counts["x"].tolist() == [1, 2]  # those of the files stay as they are


def test_files_of_tasks_are_joined_and_removed(tmp_path: Path) -> None:
    root = str(tmp_path)
    names = []
    for target, path in ((7, "late"), (2, "early")):
        tallies = TaskTallies(root, "B", attempt=0)
        tallies.add_file("train", target, make_tally(path, target, 1))
        tallies.add_file("test", target + 1, make_tally(f"{path}-test", 0, 1))
        written = tallies.write_file()
        assert written is not None
        assert written[:2] == (f"{target:05d}-0.parquet", target)
        assert [split for split, _ in read_sums(written[2])] == ["train", "test"]
        assert tallies.write_file() is None  # nothing is written twice
        names.append(written[0])
    failed = TaskTallies(root, "B", attempt=1)
    failed.add_file("train", 2, make_tally("early", 99, 99))
    failed.write_file()
    joined = list(FileTally.read_tallies(join_tallies(root, "B", names)))
    assert [tally.path for tally in joined] == ["early", "early-test", "late", "late-test"]
    assert joined[0].counts["x"].tolist() == [2, 1]
    assert not Path(locate_tallies(root, "B")).exists()


def test_a_build_without_files_has_no_tallies(tmp_path: Path) -> None:
    assert list(FileTally.read_tallies(join_tallies(str(tmp_path), "B", []))) == []


@pytest.mark.parametrize("files", [8, 16, 32, 64])
def test_the_driver_gets_as_much_of_64_files_as_of_8(tmp_path: Path, files: int) -> None:
    """200 columns: what single files counted does not go through Spark's results."""
    columns = [f"x{number}" for number in range(200)]
    tallies = TaskTallies(str(tmp_path), "B", 0)
    for file in range(files):
        counts = {name: np.arange(20) + file for name in columns}
        none = dict.fromkeys(columns, 0)
        tallies.add_file("train", file, FileTally(f"f{file}", counts, none, none))
    assert tallies.is_full == (files == 64)
    written = tallies.write_file()
    assert written is not None
    assert len(written[2]) < 15_000  # 13 KiB of every file before
