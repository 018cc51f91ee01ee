"""A source file is the same where path, size and change are; the rows may be unknown."""

from typing import Any

import pytest

from headrace.lake.source_partition import SourceFile

FILE: dict[str, Any] = {"path": "month=1/a.parquet", "bytes": 9, "changed": "1700000000000000000"}


def test_rows_are_not_part_of_the_identity() -> None:
    assert SourceFile(**FILE).identity == SourceFile(**FILE, rows=3).identity


@pytest.mark.parametrize(
    "change", [{"path": "month=2/a.parquet"}, {"bytes": 10}, {"changed": "1700000000000000001"}]
)
def test_path_size_and_change_are(change: dict[str, Any]) -> None:
    assert SourceFile(**FILE).identity != SourceFile(**{**FILE, **change}).identity
