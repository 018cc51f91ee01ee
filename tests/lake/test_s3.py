"""Datasets in an object store: publish, open, conflict, vacuum, and what people get wrong."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.session  # noqa: F401  # its credentials are masked once it is loaded
import polars as pl
import pytest

from headrace.errors import ConflictError, DatasetError
from headrace.lake import DatasetVersion, publish
from headrace.lake.build import Build
from headrace.lake.commit import discard, published_version
from headrace.lake.history import versions_of
from headrace.lake.storage import absolute_root, delta_options, open_files, said
from headrace.lake.vacuum import vacuum
from headrace.lake.version import newest_version
from tests.lake.building import SCHEMA, build, increment, whole
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


def uploaded(s3: S3, local: Path, root: str, made: Build) -> Build:
    """The build's own data files, where the dataset is."""
    files = s3.files()
    for file in made.files:
        if f"-{made.build_id}-" in file.path:
            files.put_file(str(local / file.path), f"{root}/{file.path}")
    return made


@pytest.fixture
def root(s3: S3, tmp_path: Path) -> str:
    """A dataset of two versions, made by hand."""
    local = tmp_path / "local"
    first = whole(local)
    root = f"s3://lake/{tmp_path.name}"
    publish(root, uploaded(s3, local, root, first.build), SCHEMA, '{"fitted": "here"}')
    second = increment(DatasetVersion.open(str(local)), "second", 5)
    publish(root, uploaded(s3, local, root, second), SCHEMA, "")
    return root


def test_versions_are_published_and_opened(root: str) -> None:
    newest = DatasetVersion.open(root)
    assert (newest.version, newest.root, newest.rows("train")) == (1, root, 15)
    assert newest.transform_json == '{"fitted": "here"}'
    assert DatasetVersion.open(root, 0).rows("train") == 10
    assert [v.build_id for v in versions_of(root)] == ["first", "second"]
    assert newest_version(root) == 1
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
        made = build(local, build_id, 7, base=base.version)
        uploaded(s3, local, root, made)
        if build_id == "one":
            assert publish(root, made, SCHEMA, "{}") == 2
            continue
        with pytest.raises(ConflictError, match="Another build was published since this one"):
            publish(root, made, SCHEMA, "{}")
        discard(root, build_id)
    assert DatasetVersion.open(root).build.build_id == "one"
    assert not [p for p in s3.files().find(root) if "other" in p]
    assert [p for p in s3.files().find(root) if "part-one-" in p]


def test_a_file_that_did_not_arrive_is_not_published(root: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"part-third-00000-0.parquet has None bytes here"):
        publish(root, build(tmp_path / "local", "third", 7, base=1), SCHEMA, "{}")
    assert newest_version(root) == 1


def test_a_given_id_is_found(root: str, s3: S3, tmp_path: Path) -> None:
    made = build(tmp_path / "local", "third", 7, base=1, given_id="nightly")
    publish(root, uploaded(s3, tmp_path / "local", root, made), SCHEMA, "{}")
    assert published_version(root, "nightly") == 2


def test_vacuum_removes_old_versions_and_leftovers(root: str, s3: S3, tmp_path: Path) -> None:
    local = tmp_path / "local"
    made = build(local, "third", 7, base=1)
    publish(root, uploaded(s3, local, root, made), SCHEMA, "{}")
    uploaded(s3, local, root, build(local, "dead", 3))
    s3.files().pipe_file(f"{root}/notes.txt", b"not ours")
    found = vacuum(
        root,
        keep=timedelta(0),
        leftovers_after=timedelta(hours=1),
        now=datetime.now(UTC) + timedelta(days=1),
        dry_run=False,
    )
    assert (found.versions, found.leftovers) == ((0, 1), ("dead",))
    left = {p.split("/", 2)[2] for p in s3.files().find(root)}
    data = {p for p in left if p.startswith("split=")}
    assert data == {"split=train/part-third-00000-0.parquet"}
    assert "notes.txt" in left
    assert DatasetVersion.open(root).rows("train") == 7
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


def test_no_credentials_are_an_error_that_says_where_to_put_them(
    root: str, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(DatasetError, match=r"no AWS credentials were found\. Set AWS_"):
        DatasetVersion.open(root)


def test_what_is_not_there(s3: S3) -> None:
    with pytest.raises(DatasetError, match="there is no dataset at s3://lake/nothing"):
        DatasetVersion.open("s3://lake/nothing")
    with pytest.raises(DatasetError, match="there is no dataset at s3://lake/nothing"):
        vacuum(
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


def test_a_store_that_nobody_knows_and_one_whose_package_is_missing() -> None:
    with pytest.raises(DatasetError, match="no file system for weird:// here"):
        open_files("weird://bucket/ds")
    with pytest.raises(DatasetError, match=r"install headrace\[gcs\]"):
        open_files("gs://bucket/ds")


def test_what_a_store_says_is_masked(s3: S3) -> None:
    error = OSError(f"403: AWSAccessKeyId={KEY} and {SECRET} at s3://me:pw@lake/ds")
    assert said(error) == "403: AWSAccessKeyId=*** and *** at s3://***@lake/ds"


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("https://vpce-1.s3.eu-west-1.vpce.amazonaws.com", True),  # a private endpoint of AWS
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://minio.example:9000", True),
        ("https://s3.eu-west-1.amazonaws.com", False),  # what everyone falls back on
        ("", False),
    ],
)
def test_an_endpoint_that_is_not_aws_own_is_told_to_delta(
    s3: S3, monkeypatch: pytest.MonkeyPatch, endpoint: str, told: bool
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    if not endpoint:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
    options = delta_options("s3://lake/ds")
    assert options is not None
    assert options.get("AWS_ENDPOINT_URL") == (endpoint if told else None)
    assert "AWS_ALLOW_HTTP" not in options


def test_roots_mean_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_root("ds") == str(tmp_path / "ds")
    assert absolute_root("s3a://lake/ds/") == absolute_root("s3://lake/ds") == "s3://lake/ds"
    assert absolute_root("hdfs://host:8020/ds") == "hdfs://host:8020/ds"
    assert delta_options("hdfs://host:8020/ds") is None
    assert delta_options(str(tmp_path)) is None
