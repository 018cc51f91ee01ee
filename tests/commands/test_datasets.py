"""The commands inspect, diff and vacuum on versions made by hand, and on those of real builds."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.commands.datasets import _find_runs
from headrace.lake import DatasetVersion, publish_build
from headrace.prepare.publish import publish_again
from tests.commands.stage_outcomes import build_dataset, run_command
from tests.lake.building import SCHEMA, make_increment, publish_first_version
from tests.prepare.daily import build, remove_day, write_day, write_places
from tests.tiny import tiny_recipe


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


def read_text(*arguments: str, code: int = 0) -> str:
    """Run a command, and return what people read."""
    done = run_command(*arguments)
    assert done.code == code, done.err
    return done.out + done.err


def read_result(*arguments: str) -> Any:
    """Run a command, and return its JSON."""
    done = run_command(*arguments, "--json")
    assert done.code == 0, done.err
    return done.result


def publish_versions(root: Path) -> None:
    """Publish two versions without Spark: one source partition, then another one instead."""
    first = publish_first_version(root)
    publish_build(str(root), make_increment(first, "second", 5, without=["first"]), SCHEMA, "{}")


def test_vacuum_on_versions_made_by_hand(tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    publish_versions(root)
    dry = read_result("vacuum", str(root), "--keep-hours", "0")
    assert (dry["command"], dry["ok"], dry["removed"]) == ("vacuum", True, False)
    assert (dry["versions"], dry["leftovers"]) == ([0], [])
    assert all((root / path).exists() for path in dry["files"])
    assert dry["bytes"] == sum((root / path).stat().st_size for path in dry["files"])
    assert read_result("vacuum", str(root))["files"] == []  # kept for 168 hours
    removed = read_result("vacuum", str(root), "--keep-hours", "0", "--yes")
    assert removed == dry | {"removed": True}
    assert not any((root / path).exists() for path in dry["files"])


@pytest.mark.parametrize(
    "arguments",
    [("inspect", "{}"), ("diff", "{}", "0", "1"), ("restore", "{}", "0"), ("vacuum", "{}")],
)
def test_a_folder_without_a_dataset_is_exit_code_1(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = run_command(*(word.format(tmp_path) for word in arguments), "--json")
    assert done.code == 1
    assert done.result["error"]["type"] == "DatasetError"
    assert f"headrace {arguments[0]}: there is no dataset at {tmp_path}" in done.err


def test_runs_that_mlflow_cannot_give_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("http://key:hunter2@mlflow is down\nand more")

    monkeypatch.setattr("headrace.tracking.lineage.find_runs", fail)
    dataset = build_dataset()
    recipe = tiny_recipe(Path("w")).dump_resolved()
    dataset = replace(dataset, build=dataset.build.model_copy(update={"recipe": recipe}))
    assert _find_runs(dataset, "w") == ([], "cannot be read: http://***@mlflow is down")


@pytest.mark.spark
def test_inspect_lists_the_versions_and_shows_the_newest(workdir: Path) -> None:
    root = str(workdir / "dataset")
    text = read_text("inspect", root, "--workdir", str(workdir))
    assert text.count(", increment") == 2
    assert "daily, 0.1.0 " in text
    assert ", all rows" in text
    assert "Version 2: build" in text
    assert "day=02" in text
    assert "day=01" not in text
    assert "none that names this build" in text
    result = read_result("inspect", root, "--workdir", str(workdir))
    assert [v["version"] for v in result["versions"]] == [0, 1, 2]
    assert result["ledger"]["read"] == 300
    assert result["processed"]["read"] == 0
    assert result["sources"]["events"]["rows"] == 0  # that build only removed rows
    assert [p["name"] for p in result["partitions"]] == ["day=02", "day=03"]
    assert result["partitions"][0]["files"][0]["rows"] == 150
    assert result["versions"][0]["git_commit"]


@pytest.mark.spark
def test_inspect_shows_an_old_version(workdir: Path) -> None:
    result = read_result(
        "inspect", str(workdir / "dataset"), "--version", "0", "--workdir", str(workdir)
    )
    assert result["dataset"]["version"] == 0
    assert [p["name"] for p in result["partitions"]] == ["day=01", "day=02"]
    x = next(d for d in result["profile"]["distributions"] if d["name"] == "x")
    assert sum(map(sum, x["counts"].values())) == 294
    assert result["drift"] == []


@pytest.mark.spark
def test_inspect_measures_how_well_training_shuffles_the_rows(workdir: Path) -> None:
    root = str(workdir / "dataset")
    text = read_text("inspect", root, "--workdir", str(workdir), "--shuffle")
    assert "Shuffle of the train rows, first epoch" in text
    assert "full permutation" in text
    result = read_result("inspect", root, "--workdir", str(workdir), "--shuffle")["shuffle"]
    assert result["rows"] == DatasetVersion.open(root).count_rows("train")
    assert result["canonical_shards"] == 16
    assert 0 < result["distance"] < 1
    assert "shuffle" not in read_result("inspect", root, "--workdir", str(workdir))


@pytest.mark.spark
def test_inspect_shows_drift(workdir: Path) -> None:
    result = read_result(
        "inspect", str(workdir / "dataset"), "--version", "1", "--workdir", str(workdir)
    )
    names = {"x", "height", "place", "label", "x is missing", "height is missing"}
    assert {d["name"] for d in result["drift"]} == names
    assert not any(d["drifted"] for d in result["drift"])


@pytest.mark.spark
def test_diff_shows_rows_files_and_partitions(workdir: Path) -> None:
    root = str(workdir / "dataset")
    first, second = DatasetVersion.open(root, 0), DatasetVersion.open(root, 2)
    result = read_result("diff", root, "0", "2")
    assert result["rows"]["train"] == [first.count_rows("train"), second.count_rows("train")]
    assert result["partitions"] == {"added": ["day=03"], "removed": ["day=01"], "changed": []}
    assert result["same_transform"]
    assert result["columns"] == {}
    statistics = result["statistics"]["x"]
    assert (statistics["first"]["values"], statistics["second"]["values"]) == (294, 294)
    assert 40 < statistics["second"]["quantiles"][1] < 60
    assert 0.3 < result["statistics"]["label"]["second"]["positive"] < 0.7
    (x,) = (c for c in result["raw_columns"] if c["first"]["name"] == "x")
    median = {q["share"]: q["value"] for q in x["second"]["quantiles"]}[0.5]
    assert statistics["second"]["quantiles"][1] == median
    names = {"x", "height", "place", "label", "x is missing", "height is missing"}
    assert {d["name"] for d in result["drift"]} == names
    text = read_text("diff", root, "0", "2")
    assert "source partitions removed: day=01" in text
    assert "no version 9" in read_text("diff", root, "0", "9", code=1)


@pytest.mark.spark
def test_diff_shows_columns_that_were_added_removed_or_changed(tmp_path: Path) -> None:
    write_places(tmp_path)
    write_day(tmp_path, 1)
    build(tmp_path)
    build(
        tmp_path,
        "features={x: {kind: quantile_buckets, buckets: 4}, place: {kind: vocabulary}, "
        "more: {kind: hash, column: place, buckets: 4}}",
    )
    root = str(tmp_path / "dataset")
    result = read_result("diff", root, "0", "1")
    assert result["columns"] == {
        "x": ["float", "integer"], "height": ["float", None], "more": [None, "integer"],
        "raw_height": ["double", None],
    }  # fmt: skip
    assert not result["same_transform"]
    assert result["other_bins"] == ["x"]
    text = read_text("diff", root, "0", "1")
    assert "column x is integer, was float" in text
    assert "column height removed, float" in text
    assert "column more added, integer" in text


@pytest.mark.spark
def test_vacuum_lists_first_and_removes_with_yes(workdir: Path) -> None:
    root = str(workdir / "dataset")
    text = read_text("vacuum", root, "--keep-hours", "0")
    assert "would be removed (--yes does it)" in text
    assert DatasetVersion.open(root, 0).count_rows("train") > 0
    result = read_result("vacuum", root, "--keep-hours", "0", "--yes")
    assert (result["versions"], result["removed"]) == ([0, 1], True)
    assert result["files"]
    assert DatasetVersion.open(root).version == 2
    listed = read_result("inspect", root, "--workdir", str(workdir))
    assert [v["readable"] for v in listed["versions"]] == [False, False, True]
    assert "nothing" not in read_text("inspect", root, "--version", "0", code=1)
    assert "removed since" in read_text("restore", root, "0", code=1)


@pytest.mark.spark
def test_restore_publishes_an_earlier_version_again(workdir: Path, tmp_path: Path) -> None:
    root = str(tmp_path / "dataset")
    shutil.copytree(workdir / "dataset", root)
    newest = DatasetVersion.open(root)
    with pytest.raises(AssertionError):  # it is the newest
        read_result("restore", root, str(newest.version))
    publish_again(newest, "other", datetime.now(UTC), newest.version, {})
    result = read_result("restore", root, str(newest.version))
    assert result["restored"] == newest.version
    assert result["dataset"]["version"] == newest.version + 2
    text = read_text("restore", root, str(newest.version))
    rows = sum(newest.count_rows(split) for split in ("train", "validation", "test"))
    assert f"version {newest.version} is back as version {newest.version + 3}, with {rows}" in text
    assert f", version {newest.version} again" in read_text("inspect", root)
