"""What one commit adds and removes, and what happens to a build that comes second."""

import json
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headrace.errors import ConflictError, DatasetError, UnreachableError
from headrace.lake import DatasetVersion, delta, publish_build
from headrace.lake.build import Build
from headrace.lake.delta import check_file_sizes, find_committed_version
from headrace.lake.version import BUILD_KEY
from tests.lake.building import SCHEMA, make_build, make_increment, publish_first_version


def read_actions(root: Path, version: int) -> dict[str, list[dict[str, Any]]]:
    """Read the actions of a commit by their kind."""
    actions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in (root / "_delta_log" / f"{version:020d}.json").read_text().splitlines():
        for kind, action in json.loads(line).items():
            actions[kind].append(action)
    return actions


def test_an_increment_keeps_the_files_of_its_base(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    base = publish_first_version(root)
    assert publish_build(str(root), make_increment(base, "second", 5), SCHEMA, "ignored") == 1
    second = DatasetVersion.open(str(root))
    assert (second.count_rows("train"), second.build.processed_ledger.read) == (15, 5)
    assert second.transform_json == "{}"  # of the build that fitted it
    third_build = make_increment(second, "third", 7, without=["first"])
    assert publish_build(str(root), third_build, SCHEMA, "") == 2
    third = DatasetVersion.open(str(root))
    assert sorted(f.rows for f in third.build.files) == [5, 7]
    # other readers of the Delta table see the same, at every version
    rows = [pl.read_delta(str(root), version=v).height for v in (0, 1, 2)]
    assert rows == [10, 15, 12]
    actions = read_actions(root, 2)
    (added,) = actions["add"]
    assert added["dataChange"] is True  # readers of changes would pass over it
    assert json.loads(added["stats"]) == {
        "numRecords": 7,
        "minValues": {"row_id": 0},
        "maxValues": {"row_id": 6},
        "nullCount": {"row_id": 0},
    }
    assert abs(added["modificationTime"] / 1000 - time.time()) < 600
    (removed,) = actions["remove"]
    assert removed["path"] == "split=train/part-first-00000-0.parquet"
    assert removed["partitionValues"] == {"split": "train"}
    assert abs(removed["deletionTimestamp"] / 1000 - time.time()) < 600


def test_of_two_builds_on_one_base_the_second_is_a_conflict(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    base = publish_first_version(root)
    one, other = make_increment(base, "one", 5), make_increment(base, "other", 6)
    publish_build(str(root), one, SCHEMA, "{}")
    for late in (other, make_build(root, "full", 9, base=0)):
        with pytest.raises(ConflictError, match="Another build was published since this one"):
            publish_build(str(root), late, SCHEMA, "{}")
        newest = DatasetVersion.open(str(root))
        assert (newest.version, newest.build.build_id) == (1, "one")


def test_of_two_first_builds_the_second_is_a_conflict(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one"), SCHEMA, "{}")
    with pytest.raises(ConflictError):
        publish_build(str(root), make_build(root, "other"), SCHEMA, "{}")
    assert DatasetVersion.open(str(root)).build.build_id == "one"


def test_ten_rounds_of_two_writers_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    base = publish_first_version(root)
    rows = 10
    for number in range(10):
        builds = [make_increment(base, f"{name}{number}", 5 + number) for name in ("one", "other")]
        start = threading.Barrier(2)

        def publish(build: Build, start: threading.Barrier = start) -> str:
            start.wait()
            try:
                publish_build(str(root), build, SCHEMA, "")
            except ConflictError:
                return "conflict"
            return "published"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(publish, builds)) == ["conflict", "published"]
        rows += 5 + number
        base = DatasetVersion.open(str(root))
        assert base.version == number + 1
        assert base.count_rows("train") == rows == pl.read_delta(str(root)).height


def test_a_commit_is_found_by_its_build(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    assert find_committed_version(str(root), BUILD_KEY, "one") is None
    publish_build(str(root), make_build(root, "one"), SCHEMA, "{}")
    publish_build(str(root), make_build(root, "two", base=0), SCHEMA, "{}")
    assert find_committed_version(str(root), BUILD_KEY, "one") == 0
    assert find_committed_version(str(root), BUILD_KEY, "two") == 1
    assert find_committed_version(str(root), BUILD_KEY, "three") is None


@pytest.fixture
def lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit succeeds, and its answer is lost."""
    commit = delta.commit_files

    def lose_answer(*arguments: Any) -> None:
        commit(*arguments)
        raise OSError("connection reset")

    monkeypatch.setattr(delta, "commit_files", lose_answer)


@pytest.mark.usefixtures("lost_answer")
def test_an_error_after_the_commit_is_no_failure(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    assert publish_build(str(root), make_build(root, "one"), SCHEMA, "{}") == 0
    assert DatasetVersion.open(str(root)).build.build_id == "one"


@pytest.mark.usefixtures("lost_answer")
def test_an_unknown_outcome_is_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise UnreachableError("the store is down")

    monkeypatch.setattr(delta, "find_committed_version", refuse)
    with pytest.raises(
        DatasetError,
        match=r"build one got no answer \(connection reset\), and whether it was published cannot "
        r"be determined \(the store is down\). Run the build again",
    ):
        publish_build(str(tmp_path / "ds"), make_build(tmp_path / "ds", "one"), SCHEMA, "{}")


def test_a_commit_that_failed_is_said_to_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one"), SCHEMA, "{}")

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(delta, "commit_files", fail)
    with pytest.raises(DatasetError, match=r"two failed: no space left\. Nothing of it is visible"):
        publish_build(str(root), make_build(root, "two", base=0), SCHEMA, "{}")
    assert DatasetVersion.open(str(root)).version == 0


def test_a_commit_that_is_not_in_the_history_is_a_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "commit_files", lambda *_: None)
    with pytest.raises(ConflictError, match="another program replaced the table meanwhile"):
        publish_build(str(tmp_path / "ds"), make_build(tmp_path / "ds", "one"), SCHEMA, "{}")


def test_files_of_the_expected_size_pass(tmp_path: Path) -> None:
    for number in range(40):  # more than are asked for at once
        (tmp_path / f"{number}").write_bytes(b"x" * number)
    check_file_sizes(str(tmp_path), {f"{number}": number for number in range(40)}, "dataset d")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            r"dataset d: a/b\.parquet is missing here, its writer wrote 4 bytes.*was published. "
            "The folder must be one that the driver and every executor share",
        ),
        (b"", r"a/b\.parquet has 0 bytes here, its writer wrote 4 bytes"),
        (b"abc", r"a/b\.parquet has 3 bytes here, its writer wrote 4 bytes"),
        (b"abcde", r"a/b\.parquet has 5 bytes here, its writer wrote 4 bytes"),
    ],
)
def test_a_file_that_is_missing_or_of_another_size_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "right").write_bytes(b"abcd")
    if content is not None:
        (tmp_path / "a" / "b.parquet").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        check_file_sizes(str(tmp_path), {"right": 4, "a/b.parquet": 4}, "dataset d")
