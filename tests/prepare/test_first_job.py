"""What an increment says of keys that may come again in other source partitions."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.prepare.first_job import describe_key_check
from tests.lake.building import make_file
from tests.prepare.daily import daily_recipe


def describe(tmp_path: Path, key: str, by: str, compared_rows: int) -> str:
    # a third of the rows lie in a file that was merged with rows of another day
    files = [make_file("a", ("day=1", 800)), make_file("b", ("x", 7), ("day=1", 400))]
    plan: Any = SimpleNamespace(
        base=SimpleNamespace(build=SimpleNamespace(files=files)),
        retained=frozenset({"day=1"}),
        partitions=("day=1", "day=01", "day=2"),
        partitioning=by,
    )
    return describe_key_check(daily_recipe(tmp_path, f"clean.dedup.key={key}"), plan, compared_rows)


@pytest.mark.parametrize(
    ("key", "by", "compared_rows", "expected"),
    [
        (
            "[event]",
            "partition",
            0,
            "looking for keys among 1,200 published rows that are not read again, as "
            "clean.dedup.key lacks day: every increment does. Where no key comes again with "
            "another day, add that to the key",
        ),
        (
            "[event]",
            "file",  # folders are not what divides the rows
            1200,
            "looking for keys among 1,200 published rows that are not read again (keys of 1,200 "
            "are read, for others hashes)",
        ),
        (
            "[event, day]",  # day=1 and day=01 are one value
            "partition",
            0,
            "looking for keys among 1,200 published rows that are not read again",
        ),
    ],
)
def test_what_is_said(tmp_path: Path, key: str, by: str, compared_rows: int, expected: str) -> None:
    assert describe(tmp_path, key, by, compared_rows) == expected
