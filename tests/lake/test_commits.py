"""What one commit adds and removes, and what happens to a build that comes second."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from headrace.errors import ConflictError, DatasetError
from headrace.lake import DatasetVersion, publish
from headrace.lake.build import Build
from headrace.lake.commit import published_version
from headrace.lake.history import versions_of
from tests.lake.building import SCHEMA, build, increment, whole


def test_an_increment_keeps_the_files_of_its_base(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    base = whole(root)
    assert publish(str(root), increment(base, "second", 5), SCHEMA, "ignored") == 1
    second = DatasetVersion.open(str(root))
    assert (second.rows("train"), second.build.processed.read) == (15, 5)
    assert second.transform_json == "{}"  # of the build that fitted it
    assert publish(str(root), increment(second, "third", 7, without=["first"]), SCHEMA, "") == 2
    third = DatasetVersion.open(str(root))
    assert sorted(f.rows for f in third.build.files) == [5, 7]
    # other readers of the Delta table see the same, at every version
    rows = [pl.read_delta(str(root), version=v).height for v in (0, 1, 2)]
    assert rows == [10, 15, 12]
    log = (root / "_delta_log" / "00000000000000000002.json").read_text()
    assert log.count('"remove"') == 1
    assert log.count('"add"') == 1


def test_of_two_builds_on_one_base_the_second_is_a_conflict(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    base = whole(root)
    one, other = increment(base, "one", 5), increment(base, "other", 6)
    publish(str(root), one, SCHEMA, "")
    for late in (other, build(root, "full", 9, base=0)):
        with pytest.raises(ConflictError, match="Another build was published since this one"):
            publish(str(root), late, SCHEMA, "{}")
        newest = DatasetVersion.open(str(root))
        assert (newest.version, newest.build.build_id) == (1, "one")


def test_of_two_first_builds_the_second_is_a_conflict(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish(str(root), build(root, "one"), SCHEMA, "{}")
    with pytest.raises(ConflictError):
        publish(str(root), build(root, "other"), SCHEMA, "{}")
    assert DatasetVersion.open(str(root)).build.build_id == "one"


def test_a_given_id_is_found_again(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    assert published_version(str(root), "nightly") is None
    publish(str(root), build(root, "one", given_id="nightly"), SCHEMA, "{}")
    publish(str(root), build(root, "two", 20, base=0), SCHEMA, "{}")
    assert published_version(str(root), "nightly") == 0
    assert published_version(str(root), "other") is None
    assert DeltaTable(str(root)).transaction_version("headrace:nightly") == 1


def test_the_history_has_versions_that_cannot_be_read_too(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish(str(root), build(root, "one"), SCHEMA, "{}")
    publish(str(root), build(root, "two", 20, base=0), SCHEMA, "{}")
    (root / "_headrace" / "one" / "build.json").unlink()
    old, new = versions_of(str(root))
    assert (old.version, old.build_id, old.summary) == (0, "one", None)
    assert (new.version, new.summary.rows) == (1, {"train": 20})
    assert old.committed <= new.committed
    with pytest.raises(DatasetError, match="headrace vacuum"):
        DatasetVersion.open(str(root), 0)


def test_ten_rounds_of_two_writers_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    base = whole(root)
    rows = 10
    for number in range(10):
        made = [increment(base, f"{who}{number}", 5 + number) for who in ("one", "other")]
        start = threading.Barrier(2)

        def go(build: Build, start: threading.Barrier = start) -> str:
            start.wait()
            try:
                publish(str(root), build, SCHEMA, "")
            except ConflictError:
                return "conflict"
            return "published"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(go, made)) == ["conflict", "published"]
        rows += 5 + number
        base = DatasetVersion.open(str(root))
        assert base.version == number + 1
        assert base.rows("train") == rows == pl.read_delta(str(root)).height
