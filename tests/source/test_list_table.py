"""What the driver finds in a lake: local folders, links, object stores and what stands in them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3fs import S3FileSystem

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.list_table import list_table, refuse_empty_files
from headrace.source.listing import (
    Listing,
    group_by_partition,
)
from tests.prepare.daily import day_of, write_day
from tests.s3 import S3, s3_server
from tests.source.listed import file, listing_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


def write_numbers(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": range(rows)}), path)


def test_a_table_in_an_object_store(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    files = server.files()
    for day in (1, 2):
        write_day(tmp_path, day, day_of(day, rows=10 * day))
        local = tmp_path / "lake" / "events" / f"day={day:02}" / "part-0.parquet"
        files.put_file(str(local), f"lake/events/day={day:02}/part-0.parquet")
    for marker in ("lake/events/", "lake/events/day=03/", "lake/events/_SUCCESS"):
        files.pipe_file(marker, b"")
    listing = list_table(Table(path="s3a://lake/events/"), {})
    assert listing is not None
    assert {
        p: [f.rows for f in fs] for p, fs in group_by_partition(listing, "partition").items()
    } == {
        "day=01": [10],
        "day=02": [20],
    }
    assert listing.list_urls(listing.files) == [
        f"s3a://lake/events/day=0{n}/part-0.parquet" for n in (1, 2)
    ]
    # what was listed before is not opened again, and what changed has another ETag
    again = list_table(Table(path="s3://lake/events"), listing.files)
    assert again is not None
    assert again.files == listing.files
    files.put_file(str(local), "lake/events/day=01/part-0.parquet")
    changed = list_table(Table(path="s3://lake/events"), listing.files)
    assert changed is not None
    assert changed.files["day=01/part-0.parquet"].rows == 20
    assert changed.files["day=02/part-0.parquet"] == listing.files["day=02/part-0.parquet"]


def test_a_store_that_is_away_is_an_error_and_one_that_asks_for_a_key_is_sparks(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # what it was told is what it goes on with
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(LakeError, match=r"s3://lake/events cannot be reached"):
        list_table(Table(path="s3://lake/events"), {})
    S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert list_table(Table(path="s3://lake/events"), {}) is None
    assert list_table(Table(path="weird://lake/events"), {}) is None


def test_a_local_folder_without_what_spark_overlooks(tmp_path: Path) -> None:
    write_numbers(tmp_path / "t" / "_x=2" / "a.parquet", 3)
    write_numbers(tmp_path / "t" / "_x=1" / "a.parquet", 2)  # a partition, whatever it begins with
    for hidden in ("_SUCCESS", ".part.crc", "_temporary/a.parquet", ".staging/day=1/a.parquet"):
        path = tmp_path / "t" / hidden
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    listing = list_table(Table(path=f"{tmp_path}/t/"), {})
    assert listing is not None
    assert listing.root == f"{tmp_path}/t"
    assert {path: f.rows for path, f in listing.files.items()} == {
        "_x=2/a.parquet": 3, "_x=1/a.parquet": 2
    }  # fmt: skip
    assert sorted(listing.skipped) == [
        f"{tmp_path}/t/{name}" for name in (".part.crc", ".staging", "_SUCCESS", "_temporary")
    ]
    a = listing.files["_x=2/a.parquet"]
    local = tmp_path / "t" / "_x=2" / "a.parquet"
    assert (a.bytes, a.changed) == (local.stat().st_size, str(local.stat().st_mtime_ns))


def test_a_local_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    """It was taken for a store whose credentials Spark has."""
    write_numbers(tmp_path / "day=1" / "a.parquet", 3)
    (tmp_path / "day=2").symlink_to("day=2")
    with pytest.raises(LakeError, match=r"cannot be reached: .*day=2"):
        list_table(Table(path=str(tmp_path)), {})


def test_a_footer_is_read_again_where_its_file_changed(tmp_path: Path) -> None:
    write_numbers(tmp_path / "a.parquet", 3)
    (tmp_path / "b.parquet").write_bytes(b"no Parquet file")
    table = Table(path=str(tmp_path))
    first = list_table(table, {})
    assert first is not None
    assert {path: f.rows for path, f in first.files.items()} == {"a.parquet": 3, "b.parquet": None}
    before = {"a.parquet": first.files["a.parquet"].model_copy(update={"rows": 77})}
    again = list_table(table, before, schemas=first.schemas)
    assert again is not None
    assert again.files["a.parquet"].rows == 77  # from the listing before
    assert again.schemas == first.schemas
    unknown = list_table(table, before)  # whose columns an older version did not record
    assert unknown is not None
    assert unknown.files["a.parquet"] == first.files["a.parquet"]
    os.utime(tmp_path / "a.parquet", ns=(1, 1))
    changed = list_table(table, before, schemas=first.schemas)
    assert changed is not None
    assert (changed.files["a.parquet"].rows, changed.files["a.parquet"].changed) == (3, "1")


def test_one_file_a_pattern_and_nothing(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet", "c.csv"):
        write_numbers(tmp_path / name, 1)
    alone = list_table(Table(path=f"{tmp_path}/a.parquet"), {})
    assert alone is not None
    assert alone.list_urls(alone.files) == [f"{tmp_path}/a.parquet"]
    several = list_table(Table(path=f"{tmp_path}/*.parquet"), {})
    assert several is not None
    assert several.list_urls(several.files) == [f"{tmp_path}/{n}.parquet" for n in "ab"]
    assert list_table(Table(table="in.a.catalog"), {}) is None


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, True),
        ({"format": "orc"}, True),
        ({"format": "csv"}, False),
        ({"options": {"ignoreCorruptFiles": "True"}}, False),
    ],
)
def test_empty_files_are_refused_where_a_file_has_a_footer(
    changes: dict[str, Any], refused: bool
) -> None:
    table = Table(path="/lake/t", **changes)
    listing = Listing("/lake/t", {"a": file("a"), "b": file("b", bytes=0)})
    refuse_empty_files(table, None)
    refuse_empty_files(table, listing_of("a"))
    if refused:
        with pytest.raises(LakeError, match=r"^/lake/t/b is not a readable \w+ file: it is empty"):
            refuse_empty_files(table, listing)
    else:
        refuse_empty_files(table, listing)
