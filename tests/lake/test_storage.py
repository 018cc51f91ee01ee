"""The storage of a root: local folders and URLs, credentials, and errors for people."""

import json
import re
from pathlib import Path

import botocore.session  # noqa: F401  # its credentials are masked once it is loaded
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from headrace.errors import DatasetError, LakeError, OptionError, UnreachableError
from headrace.extras import ExtraError
from headrace.lake.storage import (
    build_delta_options,
    describe_error,
    explain_storage_errors,
    explain_table_errors,
    is_storage_error,
    open_delta_table,
    open_filesystem,
    refuse_ambiguous_root,
    resolve_root,
    write_object,
)

KEY, SECRET = "AKIAOFTHETESTS", "hunter2-of-the-tests"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's settings are in the environment, and nowhere else."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def test_roots_mean_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_root("ds") == str(tmp_path / "ds")
    assert resolve_root("s3a://lake/ds/") == resolve_root("s3://lake/ds") == "s3://lake/ds"
    assert resolve_root("s3n://lake/ds") == "s3://lake/ds"
    assert resolve_root("hdfs://host:8020/ds") == "hdfs://host:8020/ds"
    for url in ("file:///a b/ds/", "file:/a b/ds", "file:////a b/ds"):
        assert resolve_root(url) == "/a b/ds"


@pytest.mark.parametrize("url", ["file:///exp#1/ds", "file:///a%20b/ds", "file:/what?/ds"])
def test_a_url_that_is_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match="write the path itself, without file:"):
        resolve_root(url)


@pytest.mark.parametrize("url", ["https://host/ds", "dbfs:/ds", "s3://"])
def test_a_place_that_can_hold_no_dataset_is_refused(url: str) -> None:
    with pytest.raises(OptionError, match=re.escape(url)):
        resolve_root(url)


@pytest.mark.parametrize("url", ["https://host/ds", "what://host/ds", "what://host:9:8/ds"])
def test_a_store_that_the_writer_of_the_log_does_not_know_is_an_option(url: str) -> None:
    """Which schemes it knows changes by its release: it is asked."""
    with pytest.raises(OptionError, match=f"{url}: Delta's writer knows no such store, or takes"):
        open_delta_table(url)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:9/x", "zip://a::file://nowhere.zip"])
def test_a_file_system_that_cannot_be_opened_is_no_defect(url: str) -> None:
    """Of tables and checkpoints: some connect when they are opened, and some when they are used."""
    with pytest.raises(UnreachableError, match="cannot be reached"):
        filesystem, path = open_filesystem(url)
        with explain_storage_errors(url):
            filesystem.ls(path)


@pytest.mark.parametrize(
    ("root", "character"),
    [
        ("/a%20b/ds", "%20"), ("/a\\b", "\\"), ("/a[1]/ds", "["), ("s3://lake/a%b", "%"),
        ("s3://lake/what?", "?"), ("s3://lake/exp#1/ds", "#"), ("s3://lake//ds", "//"),
    ],
)  # fmt: skip
def test_a_root_that_is_two_places_is_refused(root: str, character: str) -> None:
    with pytest.raises(OptionError, match="has " + re.escape(repr(character)) + " in its name"):
        refuse_ambiguous_root(root)


@pytest.mark.parametrize(
    "name", ["a b", "exp#1", "what?", "50%", "é", "a+b", "a;b", "{2}", "a*b", "~x", "a:b"]
)
def test_the_log_and_the_files_of_an_accepted_path_lie_together(tmp_path: Path, name: str) -> None:
    root = resolve_root(str(tmp_path / name))
    refuse_ambiguous_root(root)
    write_object(root, "file", b"x")
    write_deltalake(root, pa.table({"x": [1]}))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {"_delta_log", "file"} <= {path.name for path in (tmp_path / name).iterdir()}


def test_a_local_folder_has_its_own_path(tmp_path: Path) -> None:
    filesystem, path = open_filesystem(f"{tmp_path}/")
    assert path == str(tmp_path)
    assert filesystem.isdir(path)


def test_a_store_that_nobody_knows_and_one_whose_package_is_missing() -> None:
    with pytest.raises(DatasetError, match="no file system for weird:// here"):
        open_filesystem("weird://bucket/ds")
    with pytest.raises(ExtraError, match=r"run: pip install 'headrace\[gcs\]'"):
        open_filesystem("gs://bucket/ds")


@pytest.mark.usefixtures("credentials")
def test_delta_gets_the_credentials_of_aws_own_tools(tmp_path: Path) -> None:
    assert build_delta_options("s3://lake/ds") == {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-west-1",
    }
    assert build_delta_options("hdfs://host:8020/ds") is None
    assert build_delta_options(str(tmp_path)) is None


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("endpoint", "is_passed"),
    [
        ("https://vpce-1.s3.eu-west-1.vpce.amazonaws.com", True),  # a private endpoint of AWS
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://minio.example:9000", True),
        ("https://s3.eu-west-1.amazonaws.com", False),  # the default of all tools
    ],
)
def test_an_endpoint_that_is_not_aws_own_is_passed_to_delta(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, is_passed: bool
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    options = build_delta_options("s3://lake/ds")
    assert options is not None
    assert options.get("AWS_ENDPOINT_URL") == (endpoint if is_passed else None)
    assert "AWS_ALLOW_HTTP" not in options


@pytest.mark.usefixtures("credentials")
def test_an_endpoint_without_tls_is_allowed_where_it_was_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    options = build_delta_options("s3://lake/ds")
    assert options is not None
    assert options["AWS_ALLOW_HTTP"] == "true"


@pytest.mark.usefixtures("credentials")
def test_no_credentials_are_an_error_that_says_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(UnreachableError, match=r"no AWS credentials were found\. Set AWS_"):
        build_delta_options("s3://lake/ds")


@pytest.mark.usefixtures("credentials")
def test_a_stores_words_are_masked() -> None:
    error = OSError(f"403: AWSAccessKeyId={KEY} and {SECRET} at s3://me:pw@lake/ds")
    assert describe_error(error) == "403: AWSAccessKeyId=*** and *** at s3://***@lake/ds"


def test_a_stores_words_are_one_plain_line() -> None:
    assert describe_error(ValueError("\x1b[31mno\x1b[0m\n  ↳ such\tkey")) == "no such key"
    assert describe_error(TimeoutError()) == "TimeoutError"


class StoreError(Exception):
    """An error of a package that comes with a file system."""


StoreError.__module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError("no"), True),
        (StoreError("no"), True),
        (type("Refused", (StoreError,), {})("no"), True),
        (ValueError("no"), False),
        (json.JSONDecodeError("no", "", 0), False),
        (pa.ArrowInvalid("no"), False),
    ],
)
def test_errors_of_stores_are_told_from_defects(error: Exception, expected: bool) -> None:
    assert is_storage_error(error) is expected


def test_an_error_of_a_dataset_s_store_names_its_root() -> None:
    with (
        pytest.raises(UnreachableError, match=r"^s3://\*\*\*@lake/ds cannot be reached: refused$"),
        explain_storage_errors("s3://me:pw@lake/ds"),
    ):
        raise ConnectionError("refused")
    with pytest.raises(ZeroDivisionError), explain_storage_errors("s3://lake/ds"):
        raise ZeroDivisionError


def test_an_error_of_a_raw_table_s_store_is_one_of_the_lake() -> None:
    refused = ConnectionError("refused")
    with (
        pytest.raises(LakeError, match=r"^s3://lake/t cannot be reached: refused$") as caught,
        explain_table_errors("s3://lake/t"),
    ):
        raise refused
    assert isinstance(caught.value.__cause__, UnreachableError)
    with pytest.raises(ZeroDivisionError), explain_table_errors("s3://lake/t"):
        raise ZeroDivisionError
