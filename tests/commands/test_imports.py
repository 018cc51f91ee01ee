"""What looks at a dataset or a recipe imports no engine: each costs seconds before the first line.

Counted in modules, since seconds depend on the machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.v1.unpack import unpack
from tests.mlflow_store import copy_empty_store

ENGINES = [
    "keras",
    "mlflow",
    "pandas",
    "petastorm",
    "pyspark",
    "sklearn",
    "sqlalchemy",
    "tensorflow",
]
# Run as the console script is, and say at its end which of the engines were imported.
PROGRAM = f"""
import atexit, json, sys
atexit.register(lambda: print(json.dumps([m for m in {ENGINES} if m in sys.modules])))
from headrace.cli import main
main()
"""


def run_and_list_engines(*arguments: str) -> list[str]:
    """Run a command in a process of its own, and return the engines that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    engines: list[str] = json.loads(done.stdout.splitlines()[-1])
    return engines


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kept dataset of three versions, and an MLflow database of this MLflow beside it."""
    folder = unpack(tmp_path_factory.mktemp("imports"))
    copy_empty_store(folder / "workdir" / "mlflow" / "mlflow.db")
    return folder / "datasets" / "visits"


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "{}", "--workdir", "{}/../../workdir"),
        ("diff", "{}", "0", "1"),
        ("vacuum", "{}"),
    ],
)
def test_what_looks_at_a_dataset_imports_no_engine(
    arguments: tuple[str, ...], dataset: Path
) -> None:
    words = (word.format(dataset) for word in arguments)
    assert run_and_list_engines(*words) == []


def test_help_imports_no_engine() -> None:
    assert run_and_list_engines("--help") == []


def test_what_is_listed_is_what_was_imported() -> None:
    """The list would be empty, too, if nothing were counted."""
    program = PROGRAM.replace("main()", "import sqlalchemy")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["sqlalchemy"]
