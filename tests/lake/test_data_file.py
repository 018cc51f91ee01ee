"""A data file's rows are those of its row groups."""

import json

import pytest
from pydantic import ValidationError

from headrace.lake.data_file import DataFile, PartitionRun

FILE = {"path": "split=train/a.parquet", "split": "train", "bytes": 9, "content": "c"}


def test_rows_are_the_sum_of_the_row_groups() -> None:
    assert DataFile(**FILE, row_groups=(50, 50, 7)).rows == 107
    assert DataFile(**FILE, row_groups=()).rows == 0


def test_other_splits_and_further_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        DataFile(**{**FILE, "split": "holdout"}, row_groups=(1,))
    with pytest.raises(ValidationError):
        DataFile(**FILE, row_groups=(1,), owner="me")


RUNS = (
    {"path": "split=train/b.parquet", "partition": "day=1", "rows": 2},
    {"path": "split=train/c.parquet", "partition": "day=2", "rows": 5},
    {"path": "split=train/d.parquet", "partition": "day=1", "rows": 1},
)


def test_a_file_without_runs_is_written_as_it_always_was() -> None:
    file = DataFile(**FILE, row_groups=(3,), partition="day=1", footer="ab")
    tree = {**FILE, "row_groups": [3], "partition": "day=1", "footer": "ab"}
    assert file.model_dump(mode="json") == tree
    assert json.loads(file.model_dump_json()) == tree
    assert file.model_dump(mode="json", exclude={"path"}) == {
        name: value for name, value in tree.items() if name != "path"
    }
    assert file.list_runs() == (PartitionRun(path=FILE["path"], partition="day=1", rows=3),)
    assert (file.count_rows({"day=1"}), file.count_rows({"day=2"})) == (3, 0)


def test_a_file_with_runs_says_whose_rows_it_has() -> None:
    file = DataFile(**FILE, row_groups=(4, 4), runs=RUNS)
    assert DataFile.model_validate_json(file.model_dump_json()) == file
    assert [run.partition for run in file.list_runs()] == ["day=1", "day=2", "day=1"]
    assert file.count_rows({"day=1"}) == 3
    assert file.count_rows({"day=1", "day=2", "day=3"}) == 8


def test_runs_that_are_not_all_rows_are_refused() -> None:
    with pytest.raises(ValidationError, match="its runs have other rows than its row groups"):
        DataFile(**FILE, row_groups=(4, 3), runs=RUNS)
    with pytest.raises(ValidationError, match="no path below the root"):
        DataFile(**FILE, row_groups=(2,), runs=({**RUNS[0], "path": "../b.parquet"},))
