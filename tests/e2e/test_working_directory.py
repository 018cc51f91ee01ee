"""Commands run in a project of somebody else's, whose folders have the names of ours."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.running import BIN, ROOT, Done
from tests.e2e.test_launchers import HOSTS, SPARK, start_external_ranks
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = pytest.mark.e2e
NETWORK = """
import keras

def build(inputs, spec, units):
    return keras.layers.Dense(units, activation="relu")(inputs["numeric"])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where an import of any of ours, or of a library's, would raise."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("headrace", "pipelines", "tests", "jobs", "json", "pyarrow", "mlflow"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(
            f"raise ImportError('{name} of the working directory was imported')\n"
        )
    (folder / "train").mkdir()
    (folder / "train/__init__.py").write_text("")
    (folder / "train/network.py").write_text(NETWORK)
    write_tiny_lake(folder / "var/lake")
    tree: dict[str, Any] = tiny_tree()
    tree["model"] = {
        "kind": "python", "function": "train.network:build", "options": {"units": 3}, "hidden": [2],
    }  # fmt: skip
    tree["train"] |= {"epochs": 2, "ranks": 2}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tree))
    return folder


def run_in(project: Path, *command: str, **environment: str) -> Done:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        command, cwd=project, env={**inherited, **environment}, capture_output=True, text=True,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def headrace_in(project: Path, *words: str) -> Done:
    done = run_in(project, str(BIN / "headrace"), *words)
    assert done.code == 0, done.err
    return done


def test_the_whole_road(project: Path) -> None:
    """Spark's workers, ranks, and the golden check import nothing from here but the network."""
    road = headrace_in(project, "run", "tiny.yaml", "--json").result
    assert road["model_uri"] == "models:/tiny/1"
    headrace_in(project, "promote", "tiny.yaml")


@pytest.mark.long
def test_the_commands_around_it(project: Path) -> None:
    road = headrace_in(project, "run", "tiny.yaml", "--json").result
    headrace_in(project, "promote", "tiny.yaml")
    rows = ["--input", "var/lake/visits", "--output", "scores"]
    assert headrace_in(project, "score", "tiny.yaml", *rows, "--json").result["ledger"]["read"]
    headrace_in(project, "doctor", "tiny.yaml")
    headrace_in(project, "inspect", road["dataset"]["path"])
    headrace_in(project, "init", "var/lake/visits", "--label", "late", "--out", "first.yaml")


@pytest.mark.long
@pytest.mark.parametrize("launcher", [HOSTS, SPARK], ids=["hosts", "spark"])
def test_every_launcher(project: Path, launcher: list[str], tmp_path: Path) -> None:
    headrace_in(project, "prepare", "tiny.yaml")
    headrace_in(project, "train", "tiny.yaml", "--resume", "never", *launcher)


@pytest.mark.long
def test_ranks_that_somebody_else_started(project: Path, tmp_path: Path) -> None:
    headrace_in(project, "prepare", "tiny.yaml")
    processes = start_external_ranks(project, project / "var", "--resume", "never", cwd=project)
    printed = [process.communicate(timeout=180) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed


@pytest.mark.long
def test_jobs_under_spark_submit(project: Path) -> None:
    """`jobs/train.py` is a script beside other scripts; the project's own `train` is meant."""
    job = str(ROOT / "jobs/pipeline.py")
    done = run_in(
        project, str(BIN / "spark-submit"), "--master", "local[2]", job, "tiny.yaml",
        "--workdir", "submitted", "--set", "train.epochs=1",
        "--set", "source.tables.visits.path=var/lake/visits",
        "--set", "source.tables.shops.path=var/lake/shops",
        PYSPARK_PYTHON=str(BIN / "python"), SPARK_LOCAL_IP="127.0.0.1",
    )  # fmt: skip
    assert done.code == 0, done.err
