"""Kept datasets: every version opens, says what it said, and streams the same batches."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from typer.testing import CliRunner

from benchmarks.digests import digest_batches
from headrace.cli import app
from headrace.errors import DatasetError
from headrace.formats import BUILD
from headrace.lake import DatasetVersion
from headrace.lake.compare import compare_versions
from headrace.lake.data_file import SPLITS
from headrace.lake.history import list_versions
from headrace.lake.split_definition import read_split_definition
from headrace.prepare.optimize import optimize_dataset
from headrace.progress import ignore_progress
from headrace.train.preflight import load_published_spec
from tests.compat.kept import DATASETS
from tests.fixtures.v1.unpack import expected

VERSIONS = [(name, number) for name in DATASETS for number in range(3 if name == "visits" else 1)]


@pytest.mark.parametrize(("name", "number"), VERSIONS)
def test_a_version_opens_and_is_what_it_was(kept: Path, name: str, number: int) -> None:
    said = expected()["datasets"][name][number]
    dataset = DatasetVersion.open(str(kept / "datasets" / name), number)
    assert dataset.build.build_id == said["build_id"]
    assert dataset.digest == said["digest"]
    assert dataset.build.ledger.model_dump() == said["ledger"]
    dataset.build.ledger.check_balance()
    assert (dataset.build.format_version, dataset.build.transform_format) == (
        BUILD.current,
        2,
    )
    load_published_spec(dataset)  # raises where transform.json is not the one that was published
    for split in SPLITS:
        assert (
            dataset.read_columns(split, ["row_id", "label"]).num_rows
            == said["ledger"]["published"][split]
        )
    assert dataset.read_raw_examples().num_rows > 0
    assert dataset.profile.distributions
    definition = read_split_definition(dataset.build)
    assert definition.key if definition.kind == "key" else definition.validation_from


def test_what_was_quarantined_is_beside_it(kept: Path) -> None:
    for version in list_versions(str(kept / "datasets" / "visits")):
        dataset = DatasetVersion.open(str(kept / "datasets" / "visits"), version.version)
        rows = ds.dataset(f"{dataset.root}/{dataset.build.quarantine}").to_table()
        assert rows.num_rows == sum(dataset.build.processed_ledger.quarantined.values()) > 0
        assert set(rows["amount"].to_pylist()) == {-1.0}


@pytest.mark.parametrize(
    ("engine", "ranks"),
    [("petastorm", 1), ("petastorm", 4), ("pyarrow", 1), ("pyarrow", 2), ("pyarrow", 4)],
)
@pytest.mark.parametrize("name", DATASETS)
def test_the_same_batches_are_streamed(kept: Path, name: str, engine: str, ranks: int) -> None:
    """What was recorded then was read through Petastorm, by one rank."""
    digests = digest_batches(f"{kept}/datasets/{name}", engine, ranks)
    assert digests == expected()["batches"][name]


@pytest.mark.parametrize("name", DATASETS)
def test_its_small_files_are_merged(kept: Path, tmp_path: Path, name: str) -> None:
    root = str(tmp_path / name)
    shutil.copytree(kept / "datasets" / name, root)
    before = DatasetVersion.open(root)
    done = optimize_dataset(
        root, older_than=timedelta(0), now=datetime.now(UTC), dry_run=False, report=ignore_progress
    )
    assert done.files_now < done.files
    assert done.dataset.build.ledger == before.build.ledger
    assert done.dataset.profile == before.profile
    for split in SPLITS:
        names = [
            column
            for column in before.column_types
            if column != "split" and (split == "test" or not column.startswith("raw_"))
        ]
        assert done.dataset.read_columns(split, names).equals(before.read_columns(split, names))


def test_inspect_and_diff_show_every_version(kept: Path) -> None:
    root = str(kept / "datasets" / "visits")
    for number in range(3):
        done = CliRunner().invoke(
            app,
            ["inspect", root, "--version", str(number), "--shuffle", "--workdir", str(kept),
             "--json"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout.splitlines()[-1])
        assert [v["readable"] for v in found["versions"]] == [True] * 3
        assert found["dataset"]["digest"] == expected()["datasets"]["visits"][number]["digest"]
        assert found["runs"]
    first, last = (DatasetVersion.open(root, number) for number in (0, 2))
    found = compare_versions(first, last)
    assert found.same_transform
    assert found.partitions["added"] == ["day=3"]
    assert found.partitions["changed"] == ["day=2"]


def test_a_version_of_a_newer_headrace_is_named(kept: Path, tmp_path: Path) -> None:
    root = tmp_path / "letters"
    shutil.copytree(kept / "datasets" / "letters", root)
    (file,) = root.glob("_headrace/*/build.json")
    build = json.loads(file.read_text())
    file.write_text(json.dumps({**build, "format_version": 99, "of_then": [1]}))
    with pytest.raises(DatasetError, match=r"build\.json is of format 99, this Headrace knows"):
        DatasetVersion.open(str(root))
