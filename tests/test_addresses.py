"""Addresses that can hold no dataset are told by themselves, before anything is opened."""

import pytest

from headrace.addresses import BUCKET_SCHEMES, find_scheme_problem, find_store_problem


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
        ("https://host/t", "no dataset and no predictions can be at https://"),
        ("http://u:p@host:1:2/t", "no dataset and no predictions can be at http://"),
        ("ftp://host/t", "no dataset and no predictions can be at ftp://"),
        ("wasbs://c@account/t", "no dataset and no predictions can be at wasbs://"),
        ("memory://t", "no dataset and no predictions can be at memory://"),
        ("zip://a::file://b.zip", "no dataset and no predictions can be at zip://"),
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
