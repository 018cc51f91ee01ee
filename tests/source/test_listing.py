"""Files as they were listed: their URLs, and the source partitions that they are in."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.lake.logged_files import TableLog
from headrace.lake.snapshot import Snapshot
from headrace.lake.walk import has_pattern
from headrace.source.listing import (
    Listing,
    choose_partitioning,
    get_folder,
    group_by_partition,
    has_same_files,
    name_partition,
    parse_folder_values,
)
from tests.source.listed import file, listing_of
from tests.tiny import tiny_recipe


@pytest.mark.parametrize(
    ("by", "name"),
    [
        ("table", ""),
        ("file", "a=1/plain/b=x=y/part.parquet"),
        ("partition", "a=1/b=x=y"),
        (["b"], "b=x=y"),
        (["a", "c"], "a=1"),
    ],
)
def test_the_partition_of_a_file(by: str | list[str], name: str) -> None:
    assert name_partition("a=1/plain/b=x=y/part.parquet", by) == name


def test_values_in_the_names_of_folders() -> None:
    assert parse_folder_values("day=2020-01-01/city=S%C3%A3o%20Paulo") == {
        "day": "2020-01-01", "city": "São Paulo"
    }  # fmt: skip
    assert parse_folder_values("plain/a%20b=__HIVE_DEFAULT_PARTITION__/c=") == {
        "a b": None, "c": ""
    }  # fmt: skip
    assert parse_folder_values("") == {}


def test_files_are_grouped_in_the_order_of_names() -> None:
    paths = ("d=2/a", "d=10/b", "d=2/c", "d=10/a")
    groups = group_by_partition(listing_of(*paths), "partition")
    assert [(name, [f.path for f in files]) for name, files in groups.items()] == [
        ("d=10", ["d=10/a", "d=10/b"]), ("d=2", ["d=2/a", "d=2/c"])
    ]  # fmt: skip


def test_urls_and_folders_of_a_listing() -> None:
    listing = listing_of("b", "d=1/a", "d=2/a")
    assert listing.list_urls(["d=2/a", "b"]) == ["/lake/t/b", "/lake/t/d=2/a"]
    assert Listing("/lake/t.csv", {"": file("")}).list_urls([""]) == ["/lake/t.csv"]
    assert [get_folder(path) for path in listing.files] == ["", "d=1", "d=2"]
    assert set(listing.without_folders(frozenset({"d=1"})).files) == {"b", "d=2/a"}


def test_files_are_the_same_where_all_that_is_known_of_them_is() -> None:
    files = [file("a"), file("b")]
    assert has_same_files(files, [file("b"), file("a", rows=9)])  # a count is no change
    for others in (
        [file("a")],
        [file("a"), file("b", bytes=2)],
        [file("a"), file("b", changed="")],
    ):
        assert not has_same_files(files, others)


@pytest.mark.parametrize(
    ("path", "expected"), [("/a/b=1", False), ("/a/*.csv", True), ("/{a,b}", True)]
)
def test_patterns(path: str, expected: bool) -> None:
    assert has_pattern(path) is expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("increments.by=[day]", ["day"]),
        ("increments.by=file", "file"),
        ("increments.by=auto", "partition"),
        ("clean.rules=[{kind: unique, columns: [visit]}]", "table"),
        (
            "source.joins=[{table: shops, key: [shop], columns: {size: size}, "
            "cardinality: one_to_one}]",
            "table",
        ),
    ],
)
def test_rows_that_depend_on_those_of_others_are_one_partition(
    tmp_path: Path, override: str, expected: str | list[str]
) -> None:
    recipe = tiny_recipe(tmp_path, override)
    assert choose_partitioning(recipe, listing_of("day=1/a")) == expected
    assert choose_partitioning(recipe, None) == "table"
    assert choose_partitioning(recipe, replace(listing_of("a/day=1/b"), root="")) == "table"


@pytest.mark.parametrize(
    ("columns", "override", "expected"),
    [
        ((), "increments.by=auto", "file"),
        (("day",), "increments.by=auto", "file"),
        (("day",), "increments.by=partition", "partition"),
        (("day",), "clean.dedup={key: [visit]}", "file"),
        (("day",), "clean.dedup={key: [day, visit]}", "partition"),
        ((), "clean.dedup={key: [visit]}", "file"),
    ],
)
def test_a_table_with_a_log_is_divided_by_what_its_commits_change(
    tmp_path: Path, columns: tuple[str, ...], override: str, expected: str
) -> None:
    snapshot = Snapshot(table_id="t", version=3)
    log = TableLog("delta", (), snapshot, columns)
    recipe = tiny_recipe(tmp_path, override)
    assert choose_partitioning(recipe, replace(listing_of("a"), log=log)) == expected
    sink = TableLog("sink", (), snapshot)
    by = choose_partitioning(recipe, replace(listing_of("a"), log=sink))
    assert by == "partition"
