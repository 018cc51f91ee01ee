"""Datasets in an object store: publish, open, conflict, vacuum, and what people get wrong."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.session  # noqa: F401  # its credentials are masked once it is loaded
import polars as pl
import pytest

from headrace.errors import ConflictError, DatasetError
from headrace.lake import DatasetVersion, publish_build
from headrace.lake.build import Build
from headrace.lake.commit import discard_build, find_published_version
from headrace.lake.history import list_versions
from headrace.lake.vacuum import vacuum_dataset
from headrace.lake.version import find_newest_version
from tests.lake.building import SCHEMA, make_build, make_increment, publish_first_version
from tests.s3 import KEY, S3, SECRET, s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # there is no such service here
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return server


def upload_files(s3: S3, local: Path, root: str, build: Build) -> Build:
    """Upload the build's own data files to the dataset's root."""
    files = s3.files()
    for file in build.files:
        if f"-{build.build_id}-" in file.path:
            files.put_file(str(local / file.path), f"{root}/{file.path}")
    return build


@pytest.fixture
def root(s3: S3, tmp_path: Path) -> str:
    """A dataset of two versions, build by hand."""
    local = tmp_path / "local"
    first = publish_first_version(local)
    root = f"s3://lake/{tmp_path.name}"
    publish_build(root, upload_files(s3, local, root, first.build), SCHEMA, "{}")
    second = make_increment(DatasetVersion.open(str(local)), "second", 5)
    publish_build(root, upload_files(s3, local, root, second), SCHEMA, "")
    return root


def test_versions_are_published_and_opened(root: str) -> None:
    newest = DatasetVersion.open(root)
    assert (newest.version, newest.root, newest.count_rows("train")) == (1, root, 15)
    assert newest.transform_json == "{}"
    assert DatasetVersion.open(root, 0).count_rows("train") == 10
    assert [v.build_id for v in list_versions(root)] == ["first", "second"]
    assert find_newest_version(root) == 1
    assert DatasetVersion.open(root.replace("s3://", "s3a://") + "/").root == root


def test_a_reader_without_headrace_sees_the_same(root: str, s3: S3) -> None:
    options = {**s3.environment, "AWS_ALLOW_HTTP": "true"}
    for version, rows in ((0, 10), (1, 15)):
        assert pl.read_delta(root, version=version, storage_options=options).height == rows


def test_the_second_of_two_builds_is_a_conflict_and_leaves_nothing(
    root: str, s3: S3, tmp_path: Path
) -> None:
    local = tmp_path / "late"
    base = DatasetVersion.open(root)
    for build_id in ("one", "other"):
        build = make_build(local, build_id, 7, base=base.version)
        upload_files(s3, local, root, build)
        if build_id == "one":
            assert publish_build(root, build, SCHEMA, "{}") == 2
            continue
        with pytest.raises(ConflictError, match="Another build was published since this one"):
            publish_build(root, build, SCHEMA, "{}")
        discard_build(root, build_id)
    assert DatasetVersion.open(root).build.build_id == "one"
    assert not [p for p in s3.files().find(root) if "other" in p]
    assert [p for p in s3.files().find(root) if "part-one-" in p]


def test_a_file_that_did_not_arrive_is_not_published(root: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"part-third-00000-0\.parquet is missing here"):
        publish_build(root, make_build(tmp_path / "local", "third", 7, base=1), SCHEMA, "{}")
    assert find_newest_version(root) == 1


def test_a_given_id_is_found(root: str, s3: S3, tmp_path: Path) -> None:
    build = make_build(tmp_path / "local", "third", 7, base=1, given_id="nightly")
    publish_build(root, upload_files(s3, tmp_path / "local", root, build), SCHEMA, "{}")
    assert find_published_version(root, "nightly") == 2


def test_vacuum_removes_old_versions_and_leftovers(root: str, s3: S3, tmp_path: Path) -> None:
    local = tmp_path / "local"
    build = make_build(local, "third", 7, base=1)
    publish_build(root, upload_files(s3, local, root, build), SCHEMA, "{}")
    upload_files(s3, local, root, make_build(local, "dead", 3))
    s3.files().pipe_file(f"{root}/notes.txt", b"not ours")
    result = vacuum_dataset(
        root,
        keep=timedelta(0),
        leftovers_after=timedelta(hours=1),
        now=datetime.now(UTC) + timedelta(days=1),
        dry_run=False,
    )
    assert (result.versions, result.leftovers) == ((0, 1), ("dead",))
    left = {p.split("/", 2)[2] for p in s3.files().find(root)}
    data = {p for p in left if p.startswith("split=")}
    assert data == {"split=train/part-third-00000-0.parquet"}
    assert "notes.txt" in left
    assert DatasetVersion.open(root).count_rows("train") == 7
    with pytest.raises(DatasetError, match="removed since, by `headrace vacuum`"):
        DatasetVersion.open(root, 0)


def test_credentials_may_be_in_the_usual_files(
    root: str, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in s3.environment:
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text(
        f"[work]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    (tmp_path / "config").write_text(
        f"[profile work]\nregion = us-east-1\nendpoint_url = {s3.endpoint}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert DatasetVersion.open(root).version == 1
    monkeypatch.setenv("AWS_PROFILE", "play")
    with pytest.raises(DatasetError, match=r"AWS's settings .*\(play\) could not be found"):
        DatasetVersion.open(root)


def test_what_is_not_there(s3: S3) -> None:
    with pytest.raises(DatasetError, match="there is no dataset at s3://lake/nothing"):
        DatasetVersion.open("s3://lake/nothing")
    with pytest.raises(DatasetError, match="there is no dataset at s3://lake/nothing"):
        vacuum_dataset(
            "s3://lake/nothing",
            keep=timedelta(0),
            leftovers_after=timedelta(0),
            now=datetime.now(UTC),
            dry_run=True,
        )
    with pytest.raises(DatasetError, match=r"s3://nowhere/ds cannot be reached: .*NoSuchBucket"):
        DatasetVersion.open("s3://nowhere/ds")


def test_a_server_that_is_down_is_told_in_seconds(
    root: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(DatasetError, match=r"cannot be reached: .*Connection refused") as caught:
        DatasetVersion.open(root)
    assert time.monotonic() - began < 30
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
