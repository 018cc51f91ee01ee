"""Logs and records that name what lies outside of their dataset, or a transform that was changed.

Everything here was read, or run, before names were checked where they are parsed.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.errors import DamagedError, DatasetError, StreamError
from headrace.lake import DatasetVersion
from headrace.lake.safe_path import check_build_id, is_relative_path
from headrace.lake.score_record import PredictionFile
from headrace.lake.sidecar import read_sidecar_bytes
from headrace.lake.vacuum import vacuum_dataset
from headrace.lake.version import BUILD_KEY
from headrace.stream.plain_parquet import index_folder
from tests.lake.building import publish_first_version
from tests.lake.sidecar_files import rewrite

OUTSIDE = ["../secret/x.parquet", "/secret/x.parquet", "a/../../x", "./x", "a//b", "file:///x", ""]


def edit_json(file: Path, change: Callable[[Any], None]) -> None:
    """Change every JSON object of a file, of which it has one, or one a line."""
    text = file.read_text()
    if file.suffix == ".json" and "_delta_log" in file.parts:
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            change(line)
        file.write_text("\n".join(map(json.dumps, lines)))
        return
    tree = json.loads(text)
    change(tree)
    rewrite(file, json.dumps(tree))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset of one version, beside a file that is none of its own."""
    secret = tmp_path / "secret"
    secret.mkdir()
    pq.write_table(pa.table({"row_id": [666]}), secret / "x.parquet")
    publish_first_version(tmp_path / "dataset")
    return tmp_path / "dataset"


def locate_record(root: Path) -> Path:
    return root / "_headrace" / "first" / "build.json"


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_record_and_a_log_that_agree_on_a_file_outside(root: Path, path: str) -> None:
    def change_log(line: dict[str, Any]) -> None:
        if "add" in line:
            line["add"]["path"] = path

    edit_json(root / "_delta_log" / f"{0:020}.json", change_log)
    edit_json(locate_record(root), lambda build: build["files"][0].update(path=path))
    with pytest.raises(DatasetError, match=r"no path below the root|is damaged"):
        DatasetVersion.open(str(root))


@pytest.mark.parametrize("build_id", ["../../elsewhere", "/elsewhere", "..", ".", "a/b", "a\nb"])
def test_ids_that_are_paths(root: Path, build_id: str) -> None:
    """The folder that they name has a sidecar, which was taken for the build's own."""
    there = root / "_headrace" / build_id
    if not there.exists():
        there.mkdir(parents=True)
        (there / "build.json").write_text(locate_record(root).read_text())
        (there / "transform.json").write_text("{}")
    with pytest.raises(DamagedError, match="is no id of a build"):
        read_sidecar_bytes(str(root), build_id, "build.json")

    def change(line: dict[str, Any]) -> None:
        if "commitInfo" in line:
            line["commitInfo"][BUILD_KEY] = build_id

    edit_json(root / "_delta_log" / f"{0:020}.json", change)
    with pytest.raises(DamagedError, match="is no id of a build"):
        DatasetVersion.open(str(root))


@pytest.mark.parametrize(
    "change",
    [
        lambda build: build.update(transform_of="../../elsewhere"),
        lambda build: build.update(quarantine="../../elsewhere"),
        lambda build: build["partitions"][0].update(build_id="../../elsewhere"),
        lambda build: build.update(
            joins={"0:shops": {"build_id": "../../elsewhere", "key_types": ["string"]}}
        ),
        lambda build: build.update(build_id="another"),
    ],
)
def test_a_record_that_names_folders_elsewhere(root: Path, change: Any) -> None:
    edit_json(locate_record(root), change)
    with pytest.raises(DamagedError, match=r"is damaged|is the record of another build"):
        DatasetVersion.open(str(root))


def test_nothing_outside_is_removed(root: Path) -> None:
    from datetime import UTC, datetime, timedelta

    edit_json(locate_record(root), lambda build: build["files"][0].update(path=OUTSIDE[0]))
    with pytest.raises(DatasetError, match="nothing is removed"):
        vacuum_dataset(
            str(root), keep=timedelta(0), leftovers_after=timedelta(0), now=datetime.now(UTC),
            dry_run=False,
        )  # fmt: skip
    assert (root.parent / "secret" / "x.parquet").exists()


@pytest.mark.parametrize("path", OUTSIDE)
def test_predictions_outside_of_their_table(path: str) -> None:
    with pytest.raises(ValidationError, match="no path below the root"):
        PredictionFile(path=path, partition="", values={}, rows=1, bytes=1)


def test_a_foreign_log_that_names_a_file_outside(root: Path) -> None:
    def change(line: dict[str, Any]) -> None:
        if "add" in line:
            line["add"]["path"] = "../secret/x.parquet"

    edit_json(root / "_delta_log" / f"{0:020}.json", change)
    with pytest.raises(StreamError, match="names files elsewhere"):
        index_folder(str(root))


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", ""])
def test_a_transform_that_was_changed_is_opened_by_nobody(root: Path, text: str) -> None:
    rewrite(root / "_headrace" / "first" / "transform.json", text)
    with pytest.raises(DamagedError, match=r"transform\.json was changed after it was published"):
        DatasetVersion.open(str(root))


@given(st.text(st.sampled_from("a./\\:\0%"), max_size=12))
def test_relative_paths_stay_below_their_root(path: str) -> None:
    import posixpath

    if is_relative_path(path):
        assert not posixpath.isabs(path)
        assert posixpath.normpath(f"/lake/{path}").startswith("/lake/")
        assert posixpath.normpath(path) == path
    if {"", ".", ".."} & {*path.split("/")} or "\0" in path:
        assert not is_relative_path(path)


@given(st.text(max_size=30))
def test_ids_are_names_of_one_folder(name: str) -> None:
    try:
        check_build_id(name)
    except ValueError:
        return
    assert "/" not in name and name not in {"", ".", ".."}
    assert name.isascii() and name.isprintable()
