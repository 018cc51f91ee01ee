"""Addresses that can hold no dataset are told by themselves, before anything is opened."""

import pytest

from headrace.addresses import (
    BUCKET_SCHEMES,
    find_folder_problem,
    find_scheme_problem,
    find_store_problem,
)


@pytest.mark.parametrize(
    "address",
    [
        "var/datasets/t", "/lake/t", "./dbfs:/a", "/lake/a:b", "a:b", "C:/lake", "file:/lake/t",
        "./x://y", *(f"{scheme}://bucket/t" for scheme in BUCKET_SCHEMES), "file:///lake/t",
        "hdfs://names:8020/t", "hdfs:///t", "lakefs://r/b/t", "another://t",
    ],
)  # fmt: skip
def test_what_can_hold_a_dataset_is_no_problem(address: str) -> None:
    assert find_store_problem(address) is None


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("https://host/t", "https:// is no place that Headrace writes to"),
        ("http://u:p@host:1:2/t", "http:// is no place that Headrace writes to"),
        ("ftp://host/t", "ftp:// is no place that Headrace writes to"),
        ("wasbs://c@account/t", "wasbs:// is no place that Headrace writes to"),
        ("memory://t", "memory:// is no place that Headrace writes to"),
        ("zip://a::file://b.zip", "zip:// is no place that Headrace writes to"),
        ("simplecache::s3://b/t", "'simplecache::s3' is no scheme of a URL"),
        ("dbfs:/t", "dbfs:/ begins a path of Hadoop, and would be the folder 'dbfs:' here"),
        ("hdfs:/t", "hdfs:/ begins a path of Hadoop, and would be the folder 'hdfs:' here"),
        ("s3a:/t", "s3a:/ begins a path of Hadoop, and would be the folder 's3a:' here"),
        ("s3://", "s3:// names no bucket"),
        ("gs:///t", "gs:/// names no bucket"),
    ],
)
def test_what_cannot_is_said(address: str, problem: str) -> None:
    found = find_store_problem(address)
    assert found is not None
    assert found[0] == problem


def test_tables_may_be_where_no_dataset_can() -> None:
    assert find_scheme_problem("hdfs://name/t") is None
    assert find_scheme_problem("dbfs:/t") is None
    assert find_scheme_problem("a b://t") == ("'a b' is no scheme of a URL", "write the URL alone")


@pytest.mark.parametrize("address", ["var", "/lake/a:b", "./s3://x", "a:b", "C:/lake"])
def test_folders_of_this_machine(address: str) -> None:
    assert find_folder_problem(address) is None


@pytest.mark.parametrize("address", ["s3://b/w", "dbfs:/w", "file:///w", "file:/w", "https://h"])
def test_a_url_is_no_folder_of_this_machine(address: str) -> None:
    problem = find_folder_problem(address)
    assert problem is not None
    assert problem[0] == "is a URL, and has to be a folder of this machine"
