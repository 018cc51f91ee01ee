"""Stores that only Spark reaches, here the local one as Hadoop has it: no table with a log is read
as its files, and every file is read."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.hadoop_files import list_by_spark
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import open_table
from headrace.spark_engine.classic_files import HadoopFiles
from headrace.spark_engine.find_engine import find_engine

pytestmark = pytest.mark.spark


def write_ids(path: Path, *ids: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(ids)}), path)


def read_ids(spark: Any, path: str, **keys: Any) -> list[int]:
    """The rows of a table that this machine could not list."""
    table = Table(path=path, **keys)
    opened = open_table(spark, "t", table, NeededColumns.from_names(["id"]), None)
    return sorted(row["id"] for row in opened.frame.select("id").collect())


@pytest.mark.classic  # a server lists nothing for others
@pytest.mark.parametrize("scheme", ["", "file://", "file:"])
def test_files_are_listed_as_others_are(spark: Any, tmp_path: Path, scheme: str) -> None:
    names = ["a.parquet", "plain/x#1 50%25.parquet", "[1]/{2}.parquet"]
    for number, name in enumerate(names):
        write_ids(tmp_path / name, number)
    write_ids(tmp_path / "_tmp" / "b.parquet", 9)
    listing = list_by_spark(spark, "t", Table(path=f"{scheme}{tmp_path}"))
    assert listing is not None
    assert sorted(listing.files) == sorted(names)
    assert listing.skipped == (f"{tmp_path}/_tmp",) or scheme == "file:"
    # Spark by itself leaves out what lies in folders that are no partitions.
    assert read_ids(spark, f"{scheme}{tmp_path}") == [0, 1, 2]


@pytest.mark.classic  # a server lists nothing for others
def test_partitions_and_patterns(spark: Any, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        write_ids(tmp_path / f"day={day}" / "more" / "a.parquet", day)
    assert read_ids(spark, str(tmp_path)) == [1, 2, 3]
    for number in (1, 2, 3):
        write_ids(tmp_path / "t" / f"x{number}" / "a.parquet", number)
    assert read_ids(spark, f"{tmp_path}/t/x[12]") == [1, 2]
    write_ids(tmp_path / "root.parquet", 4)
    with pytest.raises(LakeError, match=r"folders of different partition columns"):
        read_ids(spark, str(tmp_path))


@pytest.mark.classic  # a server lists nothing for others
def test_no_table_with_a_log_is_read_as_its_files(spark: Any, tmp_path: Path) -> None:
    rows = pa.table({"id": [1], "day": [1]})
    write_deltalake(tmp_path / "t", rows, partition_by=["day"])
    with pytest.raises(LakeError, match=r"table 't': .*/t is a Delta table, .*tables\.t\.format"):
        read_ids(spark, f"{tmp_path}/t")
    for path in (f"{tmp_path}/t/day=1", str(tmp_path), f"{tmp_path}/t/day=*"):
        with pytest.raises(LakeError, match=r"has files of a Delta table, .*/t, and not all of"):
            read_ids(spark, path)
    write_ids(tmp_path / "ice" / "data" / "a.parquet", 1)
    (tmp_path / "ice" / "metadata").mkdir()
    (tmp_path / "ice" / "metadata" / "v1.metadata.json").touch()
    with pytest.raises(LakeError, match=r"/ice is an Iceberg table, .*format to iceberg"):
        read_ids(spark, f"{tmp_path}/ice")
    write_ids(tmp_path / "hudi" / "a.parquet", 1)
    (tmp_path / "hudi" / ".hoodie").mkdir()
    with pytest.raises(LakeError, match=r"/hudi is a Hudi table"):
        read_ids(spark, f"{tmp_path}/hudi")


def test_a_server_is_asked_for_logs_alone(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a store that a server reaches, and nothing here: the folder is not listed."""
    monkeypatch.setattr(type(find_engine(spark)), "open_store", lambda engine, scheme: None)
    write_deltalake(tmp_path / "delta", pa.table({"id": [1]}))
    for name, log in (("ice", "metadata/v1.metadata.json"), ("hudi", ".hoodie/x"), ("plain", "_x")):
        write_ids(tmp_path / name / "a.parquet", 1)
        (tmp_path / name / log).parent.mkdir(exist_ok=True)
        (tmp_path / name / log).touch()
    for name, kind in (("delta", "a Delta"), ("ice", "an Iceberg"), ("hudi", "a Hudi")):
        with pytest.raises(LakeError, match=f"table 't': .*/{name}/? is {kind} table"):
            read_ids(spark, f"{tmp_path}/{name}/")
    assert read_ids(spark, f"{tmp_path}/plain") == [1]
    # Part of such a table, and folders that have one somewhere below them.
    write_ids(tmp_path / "delta" / "day=1" / "a.parquet", 1)
    for path in ("delta/day=1", "delta/day=*", "."):
        with pytest.raises(LakeError, match=r"is a Delta table, and not .*tables\.t\.format"):
            read_ids(spark, f"{tmp_path}/{path}")


@pytest.mark.classic  # a server lists nothing for others
def test_what_cannot_be_looked_at_is_an_error(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"table 't': there is nothing at .*/none"):
        read_ids(spark, f"{tmp_path}/none")
    with pytest.raises(LakeError, match=r"nowhere://h/t cannot be listed: .*nowhere"):
        read_ids(spark, "nowhere://h/t")
    files = HadoopFiles(spark, "")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.ls(f"{tmp_path}/file")
    with pytest.raises(FileNotFoundError):
        files.ls(f"{tmp_path}/none")
    assert files.info(f"{tmp_path}/file")["type"] == "file"


def test_others_are_left_to_spark(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "_spark_metadata").mkdir()
    assert list_by_spark(spark, "t", Table(path=str(tmp_path))) is None
    assert list_by_spark(spark, "t", Table(table="catalog.table")) is None
    assert list_by_spark(spark, "t", Table(path="x", format="delta")) is None
