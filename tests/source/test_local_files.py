"""Files that the tasks open themselves."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.list_table import list_table
from headrace.source.local_files import LocalFile, find_local_files
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import open_table

X_ALONE = NeededColumns.from_names(["x"])

ID_ALONE = NeededColumns.from_names(["id"])


def test_a_file_must_be_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"12345")
    file = LocalFile.from_path(path)
    assert (file.path, file.bytes, file.changed) == (str(path), 5, path.stat().st_mtime_ns)
    file.refuse_change("t")
    os.utime(path, ns=(1, 1))
    with pytest.raises(LakeError, match=r"table 't': .*a\.parquet changed while it was read"):
        file.refuse_change("t")
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        file.refuse_change("t")


@pytest.mark.spark
def test_files_are_found_by_the_hash_that_their_rows_have(spark: object, tmp_path: Path) -> None:
    import pyspark.sql.functions as F

    names = ["a.parquet", "b c%20é.parquet"]
    for name in names:
        pq.write_table(pa.table({"x": [name]}), tmp_path / name)
    settings = Table(path=str(tmp_path))
    table = open_table(spark, "t", settings, X_ALONE, list_table(settings, {}))
    files = find_local_files(table)
    assert files is not None
    rows = table.unfiltered.select("x", F.xxhash64("_metadata.file_path")).collect()
    assert {name: files[hashed].path for name, hashed in rows} == {
        name: f"{tmp_path}/{name}" for name in names
    }


@pytest.mark.spark
def test_a_table_without_files_has_none(spark: object) -> None:
    spark.range(3).createOrReplaceTempView("numbers_without_files")
    table = open_table(spark, "t", Table(table="numbers_without_files"), ID_ALONE, None)
    assert find_local_files(table) is None
    spark.catalog.dropTempView("numbers_without_files")
