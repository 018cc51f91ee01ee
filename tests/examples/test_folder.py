"""A lake's folder is whole or absent, and is written once."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import LakeError
from headrace.examples.folder import ensure_lake


def write_one_file(folder: Path) -> dict[str, Any]:
    (folder / "a.txt").write_text("a")
    return {"rows": {"a": 1}}


def refuse(folder: Path) -> dict[str, Any]:
    raise AssertionError("the lake exists already")


def test_a_lake_is_written_once_with_its_manifest(tmp_path: Path) -> None:
    out = tmp_path / "lake"
    out.mkdir()  # may exist, if it is empty
    expected = {"asked": {"seed": 1}, "made": {"rows": {"a": 1}}}
    assert ensure_lake(str(out), {"seed": 1}, write_one_file) == (expected, True)
    assert json.loads((out / "_lake.json").read_text()) == expected
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["_lake.json", "a.txt", "lake"]
    assert ensure_lake(str(out), {"seed": 1}, refuse) == (expected, False)


def test_another_lake_is_refused_and_named(tmp_path: Path) -> None:
    out = str(tmp_path / "lake")
    ensure_lake(out, {"seed": 1}, write_one_file)
    with pytest.raises(LakeError, match=r"holds another lake: {'seed': 1}, expected {'seed': 2}"):
        ensure_lake(out, {"seed": 2}, refuse)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        write_one_file(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_lake(str(tmp_path / "lake"), {}, fail)
    assert list(tmp_path.iterdir()) == []
