"""The sidecar of a build: what is written is read again, and damage is named."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.formats import BUILD, TRANSFORM
from headrace.lake.build import Build, read_build, read_sidecar, write_sidecar
from headrace.lake.drift import ColumnDrift
from headrace.lake.sidecar import locate_sidecar, read_sidecar_bytes, read_sidecar_text
from headrace.lake.source_partition import SourcePartition
from tests.lake.building import make_build, make_ledger
from tests.lake.sidecar_files import rewrite


def change_record(root: Path, build_id: str, **changes: Any) -> None:
    path = root / "_headrace" / build_id / "build.json"
    rewrite(path, json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_sidecar_is_below_the_root() -> None:
    assert locate_sidecar("s3://lake/ds/", "one") == "s3://lake/ds/_headrace/one"
    assert locate_sidecar("/data/ds", "one") == "/data/ds/_headrace/one"


def test_a_sidecar_is_read_as_it_was_written(tmp_path: Path) -> None:
    build = make_build(tmp_path, "one", 10)
    extra_files = {"report.html": "<p>é", "raw_examples.parquet": b"\x00\xff"}
    write_sidecar(str(tmp_path), build, '{"x": 1}', extra_files)
    assert read_sidecar(str(tmp_path), "one") == (build, '{"x": 1}')
    assert read_sidecar_text(str(tmp_path), "one", "report.html") == "<p>é"
    assert read_sidecar_bytes(str(tmp_path), "one", "raw_examples.parquet") == b"\x00\xff"
    assert json.loads(read_sidecar_text(str(tmp_path), "one", "recipe.json")) == {"name": "by_hand"}
    ledger = json.loads(read_sidecar_text(str(tmp_path), "one", "ledger.json"))
    assert (ledger["read"], ledger["published"], ledger["drift"]) == (10, {"train": 10}, [])


def test_a_transform_is_stored_once_by_the_build_that_fitted_it(tmp_path: Path) -> None:
    first = make_build(tmp_path, "one")
    second = make_build(tmp_path, "two").model_copy(update={"transform_of": "one"})
    write_sidecar(str(tmp_path), first, "fitted")
    write_sidecar(str(tmp_path), second, "ignored")
    assert not (tmp_path / "_headrace" / "two" / "transform.json").exists()
    assert read_sidecar(str(tmp_path), "two") == (second, "fitted")


def test_a_missing_file_was_removed(tmp_path: Path) -> None:
    write_sidecar(str(tmp_path), make_build(tmp_path, "one"), "{}")
    with pytest.raises(RemovedError, match=r"_headrace/one/report\.html is missing.*vacuum"):
        read_sidecar_text(str(tmp_path), "one", "report.html")
    with pytest.raises(RemovedError, match=r"_headrace/two/build\.json is missing"):
        read_build(str(tmp_path), "two")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ledger": None}, r"build\.json is damaged or of an older Headrace: ledger: .*--full"),
        ({"owner": "me"}, r"is damaged or of an older Headrace: owner: Extra inputs"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    write_sidecar(str(tmp_path), make_build(tmp_path, "one"), "{}")
    change_record(tmp_path, "one", **changes)
    with pytest.raises(DamagedError, match=message):
        read_build(str(tmp_path), "one")


def test_a_record_of_a_newer_headrace_is_refused(tmp_path: Path) -> None:
    write_sidecar(str(tmp_path), make_build(tmp_path, "one"), "{}")
    change_record(tmp_path, "one", format_version=BUILD.current + 1)
    with pytest.raises(DatasetError, match=r"build\.json is of format .* a newer Headrace wrote"):
        read_build(str(tmp_path), "one")


def test_a_transform_of_a_newer_headrace_is_refused(tmp_path: Path) -> None:
    write_sidecar(str(tmp_path), make_build(tmp_path, "one"), "{}")
    change_record(tmp_path, "one", transform_format=TRANSFORM.current + 1)
    with pytest.raises(DatasetError, match=r"transform\.json is of format .* a newer Headrace"):
        read_sidecar(str(tmp_path), "one")


def make_partition(name: str, build_id: str, rows: int) -> SourcePartition:
    return SourcePartition(name=name, build_id=build_id, files=(), ledger=make_ledger(rows))


def test_the_processed_ledger_is_that_of_the_builds_own_partitions(tmp_path: Path) -> None:
    whole = make_build(tmp_path, "two", 30)
    assert (whole.processed_ledger, whole.is_partial) == (whole.ledger, False)
    partitions = (
        make_partition("day=1", "one", 10),
        make_partition("day=2", "two", 5),
        make_partition("day=3", "two", 15),
    )
    partial = whole.model_copy(update={"partitions": partitions})
    assert (partial.processed_ledger, partial.is_partial) == (make_ledger(20), True)
    refit = whole.model_copy(update={"partitions": partitions[1:]})
    assert not refit.is_partial


def test_the_ledgers_json_names_drift(tmp_path: Path) -> None:
    drift = ColumnDrift(name="x", measure="psi", value=0.5, limit=0.2, rows=7)
    build: Build = make_build(tmp_path, "one").model_copy(update={"drift": (drift,)})
    (column,) = json.loads(build.ledger_to_json())["drift"]
    assert column == {**drift.model_dump(), "drifted": True}


@pytest.mark.parametrize("name", ["build.json", "transform.json", "ledger.json", "report.html"])
def test_a_file_that_was_changed_is_refused(tmp_path: Path, name: str) -> None:
    """One digit of a record or a profile is valid JSON."""
    write_sidecar(str(tmp_path), make_build(tmp_path, "one"), "{}", {"report.html": "<p>1"})
    file = tmp_path / "_headrace" / "one" / name
    file.write_bytes(file.read_bytes().replace(b"1", b"2") + b" ")
    with pytest.raises(DamagedError, match=rf"{name} is damaged: it is not the file that was"):
        read_sidecar_bytes(str(tmp_path), "one", name)


def test_checksums_that_are_gone_are_missed(tmp_path: Path) -> None:
    write_sidecar(str(tmp_path), make_build(tmp_path, "one"), "{}")
    (tmp_path / "_headrace" / "one" / "SHA256SUMS").unlink()
    with pytest.raises(DamagedError, match="SHA256SUMS is missing"):
        read_build(str(tmp_path), "one")
    change_record(tmp_path, "one", format_version=8)  # the first that has them
    with pytest.raises(DamagedError, match="SHA256SUMS is missing"):
        read_build(str(tmp_path), "one")
    change_record(tmp_path, "one", format_version=7)  # an older Headrace wrote none
    assert read_build(str(tmp_path), "one").build_id == "one"


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    write_sidecar(str(tmp_path), make_build(tmp_path, "one"), "{}", {"report.html": "<p>"})
    rewrite(tmp_path / "_headrace" / "one" / "report.html", "<p>erased")
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path / "_headrace" / "one",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "report.html: OK" in done.stdout
