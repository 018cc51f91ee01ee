"""A prepared tiny dataset, one for all tests of the notebook's interface."""

from pathlib import Path

import pytest
import yaml

from headrace.api import Dataset
from headrace.api.open_dataset import open_dataset
from tests.e2e.running import prepared_tiny
from tests.tiny import tiny_tree


@pytest.fixture(scope="session")
def notebook_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.yaml`, whose dataset is prepared, with weights of rows."""
    tree = tiny_tree()
    tree["label"]["sample_weight"] = "1.0 + day % 3"
    return prepared_tiny(tmp_path_factory.mktemp("notebook"), tree)


@pytest.fixture(scope="session")
def dataset(notebook_folder: Path) -> Dataset:
    """Its dataset, opened by its path."""
    tree = yaml.safe_load((notebook_folder / "tiny.yaml").read_text())
    return open_dataset(tree["dataset"]["path"])
