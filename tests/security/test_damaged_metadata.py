"""Damaged logs, records and sidecars: an error that names them, or no difference."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headrace.lake import DatasetVersion
from headrace.lake.predictions import publish_predictions
from headrace.prepare import prepare
from headrace.prepare.publish import publish_again
from headrace.progress import ignore_progress
from tests.lake.test_predictions import SCHEMA, make_record
from tests.tiny import tiny_recipe, write_tiny_lake

COUNTS = [(0, 200), pytest.param((200, 3000), marks=pytest.mark.long)]


def read_mutations(root: Path, numbers: tuple[int, int], *rest: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.security.read_metadata", str(root),
         *map(str, numbers), *rest],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    last = lines[-1] if lines else "none"
    assert done.returncode == 0, f"mutation {last} ended with {done.returncode}: {done.stderr}"
    assert [line for line in lines if line.startswith("DIFFERENT")] == []
    counts: dict[str, int] = json.loads(last)
    assert sum(counts.values()) == numbers[1] - numbers[0]
    assert counts["refused"] > 0.4 * sum(counts.values())  # they did damage it
    return counts


@pytest.fixture(scope="module")
def dataset(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions, of which the second has a checkpoint of the log."""
    folder = tmp_path_factory.mktemp("damaged")
    write_tiny_lake(folder / "lake")
    recipe = tiny_recipe(folder, "dataset.raw_examples=8")
    prepare(recipe, workdir=str(folder), report=ignore_progress)
    root = Path(recipe.dataset.path)
    publish_again(DatasetVersion.open(str(root)), "again", datetime.now(UTC), 0, {})
    DeltaTable(str(root)).create_checkpoint()
    return root


@pytest.mark.spark
@pytest.mark.parametrize("numbers", COUNTS)
def test_metadata_of_datasets(dataset: Path, numbers: tuple[int, int]) -> None:
    assert read_mutations(dataset, numbers).get("different", 0) == 0


@pytest.mark.spark
@pytest.mark.long
def test_metadata_of_older_datasets_which_have_no_checksums(dataset: Path) -> None:
    read_mutations(dataset, (0, 3000), "unchecked")


@pytest.mark.parametrize("numbers", COUNTS)
def test_metadata_of_predictions(tmp_path: Path, numbers: tuple[int, int]) -> None:
    publish_predictions(str(tmp_path), make_record(tmp_path, "one", {"1": 3}), SCHEMA)
    assert read_mutations(tmp_path, numbers).get("different", 0) == 0
