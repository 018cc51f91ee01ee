"""From the file of a row to its source partition."""

import numpy as np
import pytest

from headrace.errors import LakeError
from headrace.lake.source_partition import SourceFile
from headrace.source.listing import Listing
from headrace.source.partition_index import PartitionIndex

INDEX = PartitionIndex(("day=1", "day=2"), np.array([-9, 4, 70]), np.array([1, 0, 1], np.int32))


def test_rows_are_located_by_their_file() -> None:
    assert INDEX.needs_file
    assert INDEX.locate_rows(np.array([4, 4, -9, 70])).tolist() == [0, 0, 1, 1]
    assert INDEX.locate_rows(np.zeros(0, np.int64)).tolist() == []
    assert INDEX.locate_rows(np.array([4])).dtype == np.int32


@pytest.mark.parametrize("file", [-10, 5, 71])
def test_a_file_that_nobody_listed_is_refused(file: int) -> None:
    with pytest.raises(LakeError, match="a file appeared in the main table"):
        INDEX.locate_rows(np.array([4, file]))
    with pytest.raises(LakeError, match="a file appeared"):
        PartitionIndex(("",), np.zeros(0, np.int64), np.zeros(0, np.int32)).locate_rows(
            np.array([file])
        )


def test_rows_of_files_are_summed_by_partition() -> None:
    assert INDEX.sum_by_partition({4: 10, -9: 1, 70: 2}) == {"day=1": 10, "day=2": 3}
    assert INDEX.sum_by_partition({4: 10}) == {"day=1": 10, "day=2": 0}


def test_one_partition_of_the_whole_table_needs_no_file() -> None:
    assert not PartitionIndex(("",), np.zeros(0, np.int64), np.zeros(0, np.int32)).needs_file


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:/lake/events/day=1/a.parquet", "day=1/a.parquet"),
        ("s3a://bucket/events/day=1/a.parquet", "day=1/a.parquet"),
        ("file:/lake/events/day=2/a.parquet", "a.parquet"),  # the longest end that is listed
        ("file:/lake/events/b.parquet", None),
        ("file:/lake/events/a.parquet", "a.parquet"),
        ("file:/lake/day=1/a.parquet/a.parquet", "a.parquet"),
    ],
)
def test_a_url_is_found_in_the_listing(url: str, path: str | None) -> None:
    paths = ("day=1/a.parquet", "a.parquet")
    files = {p: SourceFile(path=p, bytes=1, changed="") for p in paths}
    assert Listing("/lake/events", files).find_path(url) == path


def test_a_table_of_one_file_has_one_path() -> None:
    listing = Listing("/lake/a.parquet", {"": SourceFile(path="", bytes=1, changed="")})
    assert listing.find_path("file:/lake/a.parquet") == ""
