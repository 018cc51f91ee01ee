"""`headrace inspect`, `diff` and `vacuum` on versions made by hand and by builds."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.cli import app
from headrace.lake import DatasetVersion
from tests.prepare.daily import build, remove_day, write_day, write_places

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three versions: two days, a third one, and without the first."""
    folder = tmp_path_factory.mktemp("daily")
    write_places(folder)
    write_day(folder, 1)
    write_day(folder, 2)
    build(folder)
    write_day(folder, 3)
    build(folder)
    remove_day(folder, 1)
    build(folder)
    return folder


def said(workdir: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == code, done.output
    return done.output


def answered(*arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def test_inspect_lists_the_versions_and_shows_the_newest(workdir: Path) -> None:
    root = str(workdir / "dataset")
    text = said(workdir, "inspect", root, "--workdir", str(workdir))
    assert text.count(", increment") == 2
    assert "daily, 0.1.0 " in text
    assert ", all rows" in text
    assert "Version 2: build" in text
    assert "day=02" in text
    assert "day=01" not in text
    assert "none that names this build" in text
    found = answered("inspect", root, "--workdir", str(workdir))
    assert [v["version"] for v in found["versions"]] == [0, 1, 2]
    assert found["ledger"]["read"] == 300
    assert found["processed"]["read"] == 0
    assert found["sources"]["events"]["rows"] == 0  # that build only took rows out
    assert [p["name"] for p in found["partitions"]] == ["day=02", "day=03"]
    assert found["partitions"][0]["files"][0]["rows"] == 150
    assert found["versions"][0]["git_commit"]


def test_inspect_shows_an_old_version(workdir: Path) -> None:
    found = answered(
        "inspect", str(workdir / "dataset"), "--version", "0", "--workdir", str(workdir)
    )
    assert found["dataset"]["version"] == 0
    assert [p["name"] for p in found["partitions"]] == ["day=01", "day=02"]
    x = next(d for d in found["profile"]["distributions"] if d["name"] == "x")
    assert sum(map(sum, x["counts"].values())) == 294
    assert found["drift"] == []


def test_inspect_says_how_well_training_mixes_the_rows(workdir: Path) -> None:
    root = str(workdir / "dataset")
    text = said(workdir, "inspect", root, "--workdir", str(workdir), "--shuffle")
    assert "Shuffle of the train rows, first epoch" in text
    assert "full permutation" in text
    found = answered("inspect", root, "--workdir", str(workdir), "--shuffle")["shuffle"]
    assert found["rows"] == DatasetVersion.open(root).rows("train")
    assert found["canonical_shards"] == 16
    assert 0 < found["distance"] < 1
    assert "shuffle" not in answered("inspect", root, "--workdir", str(workdir))


def test_inspect_shows_drift(workdir: Path) -> None:
    found = answered(
        "inspect", str(workdir / "dataset"), "--version", "1", "--workdir", str(workdir)
    )
    assert {d["name"] for d in found["drift"]} == {"x", "height", "place", "label"}
    assert not any(d["drifted"] for d in found["drift"])


def test_diff_tells_rows_files_and_partitions(workdir: Path) -> None:
    root = str(workdir / "dataset")
    one, other = DatasetVersion.open(root, 0), DatasetVersion.open(root, 2)
    found = answered("diff", root, "0", "2")
    assert found["rows"]["train"] == [one.rows("train"), other.rows("train")]
    assert found["partitions"] == {"added": ["day=03"], "removed": ["day=01"], "changed": []}
    assert found["same_transform"]
    assert found["columns"] == {}
    both = found["statistics"]["x"]
    assert (both["first"]["values"], both["second"]["values"]) == (294, 294)
    assert 40 < both["second"]["quantiles"][1] < 60
    assert 0.3 < found["statistics"]["label"]["second"]["positive"] < 0.7
    assert {d["name"] for d in found["drift"]} == {"x", "height", "place", "label"}
    text = said(workdir, "diff", root, "0", "2")
    assert "source partitions removed: day=01" in text
    assert "no version 9" in said(workdir, "diff", root, "0", "9", code=1)


def test_diff_tells_columns_that_came_went_or_changed(tmp_path: Path) -> None:
    write_places(tmp_path)
    write_day(tmp_path, 1)
    build(tmp_path)
    build(
        tmp_path,
        "features={x: {kind: quantile_buckets, buckets: 4}, place: {kind: vocabulary}, "
        "more: {kind: hash, column: place, buckets: 4}}",
    )
    root = str(tmp_path / "dataset")
    found = answered("diff", root, "0", "1")
    assert found["columns"] == {
        "x": ["float", "integer"], "height": ["float", None], "more": [None, "integer"],
    }  # fmt: skip
    assert not found["same_transform"]
    assert found["other_bins"] == ["x"]
    text = said(tmp_path, "diff", root, "0", "1")
    assert "column x is integer, it was float" in text
    assert "column height removed, float" in text
    assert "column more added, integer" in text


def test_vacuum_lists_first_and_removes_when_told(workdir: Path) -> None:
    root = str(workdir / "dataset")
    text = said(workdir, "vacuum", root, "--keep-hours", "0")
    assert "would be removed (--yes does it)" in text
    assert DatasetVersion.open(root, 0).rows("train") > 0
    found = answered("vacuum", root, "--keep-hours", "0", "--yes")
    assert (found["versions"], found["removed"]) == ([0, 1], True)
    assert found["files"]
    assert DatasetVersion.open(root).version == 2
    listed = answered("inspect", root, "--workdir", str(workdir))
    assert [v["readable"] for v in listed["versions"]] == [False, False, True]
    assert "nothing" not in said(workdir, "inspect", root, "--version", "0", code=1)
