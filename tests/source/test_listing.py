"""What the driver finds in a lake: local folders, links, object stores and what stands in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.listing import group_by_partition, list_table
from tests.prepare.daily import day_of, write_day
from tests.s3 import S3, s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


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
    found = list_table(Table(path="s3a://lake/events/"), {})
    assert found is not None
    assert {
        p: [f.rows for f in fs] for p, fs in group_by_partition(found.files, "partition").items()
    } == {
        "day=01": [10],
        "day=02": [20],
    }
    assert found.list_urls(found.files) == [
        f"s3a://lake/events/day=0{n}/part-0.parquet" for n in (1, 2)
    ]
    # what is known is not opened again, and what changed is told by its ETag
    again = list_table(Table(path="s3://lake/events"), found.files)
    assert again is not None
    assert again.files == found.files
    files.put_file(str(local), "lake/events/day=01/part-0.parquet")
    changed = list_table(Table(path="s3://lake/events"), found.files)
    assert changed is not None
    assert changed.files["day=01/part-0.parquet"].rows == 20
    assert changed.files["day=02/part-0.parquet"] == found.files["day=02/part-0.parquet"]


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
