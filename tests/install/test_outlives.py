"""Everything is read without Headrace, Petastorm, Horovod, MLflow, Spark and Keras.

The programs are those of docs/outlives.md, as they stand there. They run on artifacts of the first
format and, in an environment of their own, on those of today.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compat.conftest import kept  # noqa: F401 - a fixture
from tests.e2e.running import ROOT, headrace
from tests.fixtures.v1.unpack import expected
from tests.install.blocked import BROUGHT, OF_EXTRAS, block_modules
from tests.install.clean_environment import CleanEnvironment
from tests.tiny import tiny_tree, write_tiny_lake

# All of the stack but what the page asks for.
ENDED = {
    *(OF_EXTRAS | BROUGHT) - {"packaging", "tensorflow", "h5py"},
    "headrace", "jobs", "horovod", "pyspark", "pandas", "fsspec", "pydantic",
}  # fmt: skip
IMPORTS = """
import json, sqlite3, sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import tensorflow as tf

dataset, predictions, database = sys.argv[1:4]
"""
REPORT = """
print(json.dumps({
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "rows": rows.num_rows, "train": train.num_rows, "parquet_rows": parquet_rows,
    "files": len(files), "delta_files": len(table.file_uris()),
    "read": ledger["read"], "accounted": accounted, "published": ledger["published"],
    "row_groups": list(row_groups.values()),
    "features": sorted(feature["name"] for feature in transform["features"]),
    "quarantine": reasons, "scored": scored.num_rows, "scored_columns": scored.column_names,
    "scored_by": sorted(set(scored["model_version"].to_pylist())),
    "model": [name, version], "golden": golden.num_rows,
    "difference": float(abs(predicted - recorded).max()),
    "checkpoints": len(state), "weights": all("w0000" in arrays for arrays in state.values()),
}))
"""


def list_programs() -> list[str]:
    """Return the programs of the page, in its order."""
    page = (ROOT / "docs/outlives.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def write_program(folder: Path) -> Path:
    path = folder / "read_everything.py"
    path.write_text("\n".join([IMPORTS, *list_programs(), REPORT]), encoding="utf-8")
    return path


def name_paths(workdir: Path, dataset: str) -> list[str]:
    return [str(workdir / dataset), str(workdir / "scores"), str(workdir / "mlflow/mlflow.db")]


def check_first_format(found: dict[str, Any]) -> None:
    """Compare with what the release said that made the kept artifacts; visits are its dataset."""
    said = expected()["datasets"]["visits"][-1]["ledger"]
    published = sum(said["published"].values())
    assert (found["rows"], found["parquet_rows"]) == (published, published)
    assert (found["train"], found["published"]) == (said["published"]["train"], said["published"])
    assert found["files"] == found["delta_files"] == 18
    assert found["read"] == found["accounted"] == said["read"]
    assert all(index == counts for index, counts in found["row_groups"])
    assert {"amount", "shop", "note"} <= set(found["features"])
    assert found["quarantine"]
    assert "range" in str(found["quarantine"][0])
    assert found["scored"] == expected()["predictions"][-1]["ledger"]["scored"]
    assert found["scored_by"] == [2]
    assert found["model"] == ["visits", 2]
    assert found["golden"] > 30
    assert found["difference"] < 1e-5
    assert found["checkpoints"] == 9
    assert found["weights"]


def test_the_first_format_without_the_stack(kept: Path, tmp_path: Path) -> None:  # noqa: F811
    environment = block_modules(tmp_path / "site", ENDED)
    program = str(write_program(tmp_path))
    done = subprocess.run(
        [sys.executable, program, *name_paths(kept, "datasets/visits")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, **environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not set(found.pop("modules")) & ENDED
    check_first_format(found)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    """An environment with what the page asks for, and nothing else."""
    environment = CleanEnvironment(tmp_path_factory.mktemp("bare") / "clean")
    environment.install("pyarrow", "deltalake", "tensorflow")
    assert not environment.list_packages() & {
        "headrace",
        "petastorm",
        "horovod",
        "mlflow",
        "pandas",
    }
    return environment


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that this Headrace has filled, with a row in quarantine."""
    workdir = tmp_path_factory.mktemp("today")
    write_tiny_lake(workdir / "lake")
    tree = tiny_tree()
    tree["clean"]["rules"] = [{"kind": "range", "column": "amount", "min": 30, "max": 70}]
    (workdir / "tiny.yaml").write_text(yaml.safe_dump(tree))
    options = [str(workdir / "tiny.yaml"), "--workdir", str(workdir), "--json"]
    score = ["--input", str(workdir / "lake/visits"), "--output", str(workdir / "scores")]
    for command, more in (("run", []), ("promote", []), ("score", score)):
        done = headrace(command, *options, *more)
        assert done.code == 0, done.err
    return workdir


@pytest.mark.long
def test_the_first_format_in_a_bare_environment(
    bare: CleanEnvironment, kept: Path, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    program = str(write_program(tmp_path))
    done = bare.run("python", program, *name_paths(kept, "datasets/visits"))
    assert done.code == 0, done.err
    check_first_format(done.result)


@pytest.mark.long
def test_today_in_a_bare_environment(bare: CleanEnvironment, today: Path, tmp_path: Path) -> None:
    program = str(write_program(tmp_path))
    done = bare.run("python", program, *name_paths(today, "dataset"))
    assert done.code == 0, done.err
    found = done.result
    assert found["read"] == found["accounted"] == 600
    assert found["rows"] == found["parquet_rows"] == sum(found["published"].values())
    assert all(index == counts for index, counts in found["row_groups"])
    assert all("range" in str(row) for row in found["quarantine"])
    assert found["quarantine"]
    assert found["model"] == ["tiny", 1]
    assert found["difference"] < 1e-5
