"""Petastorm on today's pyarrow: provided names are removed again, and it opens only files."""

import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import StreamError
from headrace.stream.petastorm_api import FileDataset

PROGRAM = """
import sys, pyarrow, pyarrow.parquet, numpy
error = hasattr(pyarrow.lib, "ArrowIOError")
parquet = dict(vars(pyarrow.parquet))
modules = set(sys.modules)
import headrace.stream.petastorm_api
lent = {"pyarrow.filesystem", "pyarrow.hdfs", "distutils", "distutils.version"}
assert not (set(sys.modules) - modules) & lent, set(sys.modules) & lent
assert vars(pyarrow.parquet) == parquet
assert not vars(pyarrow).keys() & {"filesystem", "hdfs", "localfs", "LocalFileSystem"}
assert hasattr(pyarrow.lib, "ArrowIOError") == error
assert not vars(numpy).keys() & {"unicode_", "string_"}
"""


def test_pyarrow_and_numpy_are_as_they_were() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "part-0.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3]}), file, row_group_size=2)
    return file


def test_a_dataset_is_its_files(file: Path) -> None:
    dataset = FileDataset([str(file)], fsspec.filesystem("file"), validate_schema=False)
    (piece,) = dataset.pieces
    assert piece.get_metadata().num_row_groups == 2
    assert (dataset.metadata, dataset.common_metadata, dataset.partitions) == (None, None, None)


def test_a_folder_is_never_opened(file: Path) -> None:
    """It may hold `_common_metadata`, with a pickled schema."""
    pq.write_metadata(pa.schema([("a", pa.int64())]), file.parent / "_common_metadata")
    files = fsspec.filesystem("file")
    with pytest.raises(StreamError, match="Petastorm opens files here, never a folder"):
        FileDataset(str(file.parent), files)
    with pytest.raises(StreamError, match="is a folder, but a file in the dataset version"):
        FileDataset([str(file.parent)], files)
