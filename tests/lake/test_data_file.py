"""A data file's rows are those of its row groups."""

import pytest
from pydantic import ValidationError

from headrace.lake.data_file import DataFile

FILE = {"path": "split=train/a.parquet", "split": "train", "bytes": 9, "content": "c"}


def test_rows_are_the_sum_of_the_row_groups() -> None:
    assert DataFile(**FILE, row_groups=(50, 50, 7)).rows == 107
    assert DataFile(**FILE, row_groups=()).rows == 0


def test_other_splits_and_further_fields_are_refused() -> None:
    with pytest.raises(ValidationError):
        DataFile(**{**FILE, "split": "holdout"}, row_groups=(1,))
    with pytest.raises(ValidationError):
        DataFile(**FILE, row_groups=(1,), owner="me")
