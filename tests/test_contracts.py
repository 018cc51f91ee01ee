"""Every import contract fails where an import breaks it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.running import BIN, ROOT

# Contract -> a module, relative to the source root or to the project, and what it must not import.
PLANTED = {
    "layers": ("pipelines/headrace/lake/ledger.py", "import headrace.prepare.plan"),
    "siblings": ("pipelines/headrace/stream/plan.py", "import headrace.stream.split_stream"),
    "jobs": ("jobs/train.py", "import tensorflow"),
    "no-jobs": ("pipelines/headrace/cli.py", "import jobs.train"),
    "home-of-mlflow": ("pipelines/headrace/propose/text.py", "import mlflow"),
    "home-of-horovod": ("pipelines/headrace/train/step.py", "import horovod.tensorflow"),
    "home-of-deltalake": ("pipelines/headrace/score/plan.py", "import deltalake"),
    "home-of-pyiceberg": ("pipelines/headrace/source/listing.py", "import pyiceberg"),
    "home-of-petastorm": ("pipelines/headrace/train/streams.py", "import petastorm"),
    "home-of-grpc": ("pipelines/headrace/source/spark_errors.py", "import grpc"),
    "homes-of-tensorflow": ("pipelines/headrace/prepare/plan.py", "import tensorflow"),
    "homes-of-spark": ("pipelines/headrace/stream/worker.py", "import pyspark"),
    "spark-session": ("pipelines/headrace/train/loop.py", "import headrace.source.read"),
    "in-graph-transform": ("pipelines/headrace/prepare/run.py", "import headrace.models.build"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contracts")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("pipelines", "jobs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def check_contract(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "lint-imports"), "--no-cache", "--contract", contract]
    return subprocess.run(
        command, cwd=tree, env={"PYTHONPATH": f"{tree}/pipelines:{tree}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.long
def test_every_contract_has_a_planted_import() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    assert [contract["id"] for contract in contracts] == list(PLANTED)


@pytest.mark.long
@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_import_breaks_its_contract(tree: Path, contract: str) -> None:
    name, statement = PLANTED[contract]
    assert check_contract(tree, contract).returncode == 0
    module = tree / name
    text = module.read_text()
    module.write_text(f"{text}\n{statement}\n")
    try:
        done = check_contract(tree, contract)
    finally:
        module.write_text(text)
    assert done.returncode == 1, done.stdout
    assert "Contracts: 0 kept, 1 broken." in done.stdout
