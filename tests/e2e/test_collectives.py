"""The road with TensorFlow's collectives, and with one rank, where Horovod is not installed."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.e2e.running import BIN, ROOT, headrace, prepared_tiny, run
from tests.e2e.test_elastic import is_rank, weights
from tests.e2e.without_horovod import hide_horovod
from tests.tiny import tiny_tree

pytestmark = [pytest.mark.e2e, pytest.mark.long]
BY_TENSORFLOW = ("--set", "train.collectives=tensorflow")
LONG = ("--set", "train.epochs=100")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset and a recipe: batch norm and momentum, which show what ranks sum."""
    folder = tmp_path_factory.mktemp("collectives")
    tree = tiny_tree()
    tree["model"] = {"kind": "mlp", "hidden": [16, 8], "normalize": "batch"}
    tree["train"] |= {
        "epochs": 4,
        "optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    }
    return prepared_tiny(folder, tree)


@pytest.fixture
def without_horovod(tmp_path: Path) -> dict[str, str]:
    environment = hide_horovod(tmp_path / "site")
    done = run(sys.executable, "-c", "import horovod", **environment)
    assert "No module named 'horovod'" in done.err
    return environment


def train(folder: Path, workdir: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    done = headrace(
        "train", str(folder / "tiny.yaml"), "--workdir", str(workdir), "--json", *arguments,
        **environment,
    )  # fmt: skip
    assert done.code == 0, done.err
    return done.result


def assert_near(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("ranks", [2, 4])
def test_weights_are_those_of_horovod(folder: Path, tmp_path: Path, ranks: int) -> None:
    of_kinds = []
    for kind in ("horovod", "tensorflow"):
        workdir = tmp_path / kind
        result = train(folder, workdir, "--ranks", str(ranks), "--set", f"train.collectives={kind}")
        of_kinds.append(weights(workdir, result["model_uri"]))
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{workdir}/mlflow/mlflow.db")
        logged = client.get_run(result["run_id"]).data
        assert logged.params.get("train.collectives", "horovod") == kind
        assert logged.tags["headrace.ranks"] == str(ranks)
    assert_near(*of_kinds)


def disturb(folder: Path, workdir: Path, act: Callable[[psutil.Process], None], *arguments: str):
    """Train for long, and act on the command when it reports an epoch; returns code and lines."""
    process = subprocess.Popen(
        [
            str(BIN / "headrace"), "train", str(folder / "tiny.yaml"), "--workdir", str(workdir),
            "--ranks", "2", *LONG, *arguments,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if re.search(r"epoch \d+ of", line) and not any("epoch" in said for said in lines):
            act(psutil.Process(process.pid))
        lines.append(line.strip())
    return process.wait(timeout=120), lines


@pytest.mark.parametrize(
    ("first", "second"), [("horovod", "tensorflow"), ("tensorflow", "horovod")]
)
def test_a_checkpoint_of_one_kind_is_continued_by_the_other(
    folder: Path, tmp_path: Path, first: str, second: str
) -> None:
    code, _ = disturb(
        folder, tmp_path / "w", lambda process: process.send_signal(signal.SIGTERM),
        "--set", f"train.collectives={first}",
    )  # fmt: skip
    assert code == 143
    done = headrace(
        "train", str(folder / "tiny.yaml"), "--workdir", str(tmp_path / "w"), "--json",
        "--ranks", "2", *LONG, "--set", f"train.collectives={second}",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "continuing" in done.err
    whole = train(folder, tmp_path / "whole", "--ranks", "2", *LONG)
    assert_near(
        weights(tmp_path / "w", done.result["model_uri"]),
        weights(tmp_path / "whole", whole["model_uri"]),
    )


def test_a_killed_rank_ends_the_run_alike(folder: Path, tmp_path: Path) -> None:
    """The same error and exit code, whichever kind."""

    def kill_second_rank(process: psutil.Process) -> None:
        ranks = [child for child in process.children() if is_rank(child)]
        max(ranks, key=lambda child: child.pid).send_signal(signal.SIGKILL)

    outcomes = []
    for kind in ("horovod", "tensorflow"):
        code, lines = disturb(
            folder, tmp_path / kind, kill_second_rank, "--set", f"train.collectives={kind}"
        )
        (error,) = [line for line in lines if "was killed by SIGKILL" in line]
        outcomes.append((code, error))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == 1
    assert "rank 1 of 2 was killed by SIGKILL" in outcomes[0][1]


def test_a_whole_road_without_horovod(
    folder: Path, tmp_path: Path, without_horovod: dict[str, str]
) -> None:
    """Two ranks by TensorFlow, in every process of the road."""
    done = headrace(
        "run", str(folder / "tiny.yaml"), "--workdir", str(tmp_path), "--ranks", "2", "--json",
        *BY_TENSORFLOW, **without_horovod,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.result["verdict"]["passed"] is None  # there are no gates to judge it by
    doctor = headrace(
        "doctor", str(folder / "tiny.yaml"), "--workdir", str(tmp_path), "--json",
        "--set", "train.ranks=2", *BY_TENSORFLOW, **without_horovod,
    )  # fmt: skip
    findings = {finding["name"]: finding for finding in doctor.result["findings"]}
    assert findings["headrace[horovod]"]["what"].startswith("not installed (horovod)")
    assert findings["collectives"]["what"] == "2 ranks communicate by tensorflow"


@pytest.mark.parametrize("kind", ["horovod", "tensorflow"])
def test_one_rank_needs_no_horovod_whatever_is_chosen(
    folder: Path, tmp_path: Path, without_horovod: dict[str, str], kind: str
) -> None:
    chosen = ("--ranks", "1", "--set", f"train.collectives={kind}")
    train(folder, tmp_path, *chosen, **without_horovod)
    done = headrace(
        "evaluate", str(folder / "tiny.yaml"), "--workdir", str(tmp_path), *chosen,
        **without_horovod,
    )  # fmt: skip
    assert done.code in (0, 3), done.err


@pytest.mark.parametrize("command", ["run", "train", "evaluate"])
def test_many_ranks_without_horovod_are_refused_before_anything_starts(
    folder: Path, tmp_path: Path, without_horovod: dict[str, str], command: str
) -> None:
    workdir = tmp_path / "w"
    done = run(
        str(BIN / "headrace"), command, str(folder / "tiny.yaml"),
        "--workdir", str(workdir), "--ranks", "2", **without_horovod,
    )  # fmt: skip
    assert done.code == 2
    assert "2 ranks are to communicate by Horovod: Horovod is not installed; run: pip" in done.err
    assert "train.collectives: tensorflow" in done.err
    assert not workdir.exists()
