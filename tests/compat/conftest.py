"""The kept working directory: one for who only reads, a copy for who changes something."""

import shutil
from pathlib import Path

import pytest

from tests.fixtures.v1.unpack import relocate, unpack


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts as they were kept; nobody may change them."""
    return unpack(tmp_path_factory.mktemp("kept") / "v1")


@pytest.fixture(scope="module")
def own(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of them for the tests of a module, which build upon each other."""
    folder = tmp_path_factory.mktemp("own") / "v1"
    shutil.copytree(kept, folder)
    relocate(folder, str(kept), str(folder))
    return folder
