"""The history of a dataset has every commit, also those that cannot be read any more."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from headrace.errors import DatasetError, UnreachableError
from headrace.lake import DatasetVersion, history, publish_build
from headrace.lake.history import VersionSummary, list_versions
from tests.lake.building import SCHEMA, make_build, make_increment, publish_first_version


def test_versions_that_were_removed_are_listed_too(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    publish_build(str(root), make_build(root, "one"), SCHEMA, "{}")
    publish_build(str(root), make_build(root, "two", 20, base=0), SCHEMA, "{}")
    (root / "_headrace" / "one" / "build.json").unlink()
    old, new = list_versions(str(root))
    assert (old.version, old.build_id, old.summary, old.problem) == (0, "one", None, None)
    assert (new.version, new.summary.rows) == (1, {"train": 20})
    assert old.committed <= new.committed <= datetime.now(UTC)
    with pytest.raises(DatasetError, match="headrace vacuum"):
        DatasetVersion.open(str(root), 0)


def test_a_summary_has_recipe_code_and_rows(tmp_path: Path) -> None:
    base = publish_first_version(tmp_path)
    publish_build(str(tmp_path), make_increment(base, "second", 5), SCHEMA, "")
    first, second = (version.summary for version in list_versions(str(tmp_path)))
    assert first == VersionSummary("by_hand", "0", None, {"train": 10}, is_incremental=False)
    assert second == VersionSummary("by_hand", "0", None, {"train": 15}, is_incremental=True)


def test_a_damaged_record_is_a_problem_of_its_version_alone(tmp_path: Path) -> None:
    publish_first_version(tmp_path)
    (tmp_path / "_headrace" / "first" / "build.json").write_text('{"build_id": 5}')
    (version,) = list_versions(str(tmp_path))
    assert version.summary is None
    assert "build.json is damaged" in str(version.problem)


def test_a_commit_of_another_program_has_no_build(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"a": [1]}))
    (version,) = list_versions(str(tmp_path / "t"))
    assert (version.build_id, version.summary, version.problem) == (None, None, None)


def test_a_store_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_first_version(tmp_path)

    def refuse(*_: str) -> None:
        raise UnreachableError("the store is down")

    monkeypatch.setattr(history, "read_build", refuse)
    with pytest.raises(UnreachableError, match="the store is down"):
        list_versions(str(tmp_path))


def test_there_must_be_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no dataset at .*nowhere; run"):
        list_versions(str(tmp_path / "nowhere"))
