"""Partitions whose rows are the same: also where a log says that they are in other files now."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from headrace.lake.logged_files import TableLog
from headrace.lake.snapshot import Rewrite, Snapshot, TableCommit
from headrace.lake.source_partition import SourceFile
from headrace.source.listing import Listing, group_by_partition
from headrace.source.unchanged_partitions import find_unchanged_partitions, has_same_rows
from tests.source.listed import file


def listing_of(rows: Mapping[str, int | None], *rewrites: tuple[str, str]) -> Listing:
    """A sink's files by name, and the names of files that were written into others."""
    moved = tuple(Rewrite(frozenset(r.split()), frozenset(a.split())) for r, a in rewrites)
    log = TableLog(
        "sink", (), Snapshot(table_id="", version=2), commits=(TableCommit(rewrites=moved),)
    )
    files = {name: file(name, rows=count) for name, count in rows.items()}
    return Listing("/lake/t", files, log=log)


def find(listing: Listing, old: Mapping[str, list[SourceFile]], by: Any = "file") -> dict[str, str]:
    before = {name: tuple(files) for name, files in old.items()}
    found = find_unchanged_partitions(listing, group_by_partition(listing, by), before, by)
    return {name: " ".join(f.path for f in files) for name, files in found.items()}


A, B, C = (file(name, rows=10) for name in "abc")


@pytest.mark.parametrize(
    ("rows", "rewrites", "expected"),
    [
        ({"a": 10, "b": 10}, [], {"a": "a", "b": "b"}),
        ({"a": 10, "d": 10}, [], {"a": "a"}),
        ({"d": 20}, [("a b", "d")], {"a": "d", "b": "d"}),
        ({"d": 15, "e": 5}, [("a b", "d e")], {"a": "d e", "b": "d e"}),
        ({"d": 19}, [("a b", "d")], {}),  # the writer is not believed
        ({"d": None}, [("a b", "d")], {}),
        ({}, [("a b", "")], {}),
        ({"b": 10, "d": 10}, [("a", "d")], {"a": "d", "b": "b"}),
    ],
)
def test_partitions_that_are_files(
    rows: dict[str, int | None], rewrites: list[tuple[str, str]], expected: dict[str, str]
) -> None:
    assert find(listing_of(rows, *rewrites), {"a": [A], "b": [B]}) == expected


def test_partitions_of_one_file_stay_or_go_together() -> None:
    """a and b were read, then written into d and e; c was not touched."""
    d, e = file("d", rows=15), file("e", rows=5)
    old = {"a": [d, e], "b": [d, e], "c": [C]}
    assert find(listing_of({"d": 15, "e": 5, "c": 10}), old) == {"a": "d e", "b": "d e", "c": "c"}
    assert find(listing_of({"d": 15, "c": 10}), old) == {"c": "c"}
    # What is left of them was written into one file with c, whose rows have to be read again too.
    assert find(listing_of({"f": 25}, ("d c", "f")), old) == {}
    assert find(listing_of({"f": 30}, ("d e c", "f")), old) == {"a": "f", "b": "f", "c": "f"}


@pytest.mark.parametrize("by", ["partition", "table"])
def test_partitions_that_are_folders(by: str) -> None:
    name = {"partition": "day=1", "table": ""}[by]
    old = {name: [file("day=1/a", rows=4), file("day=1/b", rows=4)]}
    same = listing_of({"day=1/c": 8}, ("day=1/a day=1/b", "day=1/c"))
    assert find(same, old, by) == {name: "day=1/c"}
    more = listing_of({"day=1/c": 8, "day=1/d": 1}, ("day=1/a day=1/b", "day=1/c"))
    assert find(more, old, by) == {}


def test_rows_of_folders_are_those_of_their_files() -> None:
    """A dataset whose partitions were folders goes on by file."""
    old = {"day=1": [file("day=1/a", rows=4), file("day=1/b", rows=4)], "": [], "day=2": [A]}
    listing = listing_of({"day=1/a": 4, "day=1/b": 4, "day=1/c": 1, "e": 1})
    assert find(listing, old) == {"day=1": "day=1/a day=1/b"}


def test_a_file_that_was_written_again_under_its_name() -> None:
    listing = listing_of({"a": 10})
    assert has_same_rows(listing, [A])
    assert not has_same_rows(listing, [A.model_copy(update={"changed": "2"})])
    assert not has_same_rows(listing, [A, B])
    again = replace(listing_of({"a": 10}, ("a", "a")))
    assert has_same_rows(again, [A.model_copy(update={"changed": "2"})])
