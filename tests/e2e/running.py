"""Running Headrace and its neighbours as processes, the way users do."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from headrace.prepare.recipe_changes import ROWS_DEPEND_ON
from tests.mlflow_store import copy_empty_store
from tests.tiny import write_tiny_lake

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object on the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])


def run(*command: str, **environment: str) -> Done:
    # mlflow.set_tracking_uri in a test sets the variable too; a command must not inherit it. Python
    # writes byte-code, as it does on the machines of users: beside the code of models, too.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**inherited, **environment},
    )
    return Done(done.returncode, done.stdout, done.stderr)


def headrace(*arguments: str, **environment: str) -> Done:
    """Run `headrace`; its workdir gets MLflow's empty store."""
    if "--workdir" in arguments and "MLFLOW_TRACKING_URI" not in environment:
        workdir = Path(arguments[arguments.index("--workdir") + 1])
        copy_empty_store(workdir / "mlflow/mlflow.db")
    return run(str(BIN / "headrace"), *arguments, **environment)


def killed_at_step(step: str, root: Path, arguments: list[str]) -> None:
    """Run `headrace` and have it killed at a step; see `killed.py`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.killed", step, str(root), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def killed_after(seconds: float, arguments: list[str]) -> None:
    """Run `headrace` and kill it after a while, wherever it is then."""
    process = subprocess.Popen(
        [str(BIN / "headrace"), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    process.kill()
    process.wait(timeout=60)


def moment(number: int, of: int, seconds: float) -> float:
    """One moment in each of as many equal parts, from the start to a little after the end."""
    part = seconds * 1.05 / of
    return (number + random.Random(number).random()) * part


def prepared_tiny(folder: Path, tree: dict[str, Any]) -> Path:
    """A dataset of the tiny lake and `tiny.yaml` in a folder, the same for every workdir.

    What is prepared in the same way is prepared once in a test run, and copied. The lake is shared.
    """
    tables = {**tree["source"], "tables": None}
    prepared_by = [tables, *(tree.get(s) for s in ROWS_DEPEND_ON), tree["dataset"].get("keep")]
    digest = hashlib.sha256(json.dumps(prepared_by, sort_keys=True).encode()).hexdigest()[:12]
    shared = folder.parent / f"prepared-{digest}"
    tree["source"]["tables"] = {n: {"path": f"{shared}/lake/{n}"} for n in ("visits", "shops")}
    if not (shared / "dataset").exists():
        write_tiny_lake(shared / "lake")
        tree["dataset"]["path"] = f"{shared}/dataset"
        (shared / "tiny.yaml").write_text(yaml.safe_dump(tree))
        done = headrace("prepare", str(shared / "tiny.yaml"), "--workdir", str(shared / "w"))
        assert done.code == 0, done.err
    shutil.copytree(shared / "dataset", folder / "dataset")
    tree["dataset"]["path"] = f"{folder}/dataset"
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tree))
    return folder


@contextmanager
def served_model(workdir: Path, model: str, log_file: Path) -> Iterator[str]:
    """`mlflow models serve` of a model in the store below `workdir`; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = log_file.open("w")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    store = f"sqlite:///{workdir}/mlflow/mlflow.db"
    process = subprocess.Popen(
        [
            str(BIN / "mlflow"), "models", "serve", "-m", model,
            "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port),
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**inherited, "MLFLOW_TRACKING_URI": store, "PATH": f"{BIN}:{os.environ['PATH']}"},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=2).read()
                break
            except OSError:
                assert process.poll() is None, log_file.read_text()
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.3)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
        log.close()


def asked(address: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a served model predicts for raw rows."""
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"dataframe_records": records}).encode(),
        {"Content-Type": "application/json"},
    )
    answer = json.loads(urllib.request.urlopen(request, timeout=60).read())
    return list(answer["predictions"])


def asked_by_csv(address: str, frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """What a served model predicts for raw rows that are sent as CSV."""
    request = urllib.request.Request(
        f"{address}/invocations",
        frame.to_csv(index=False).encode(),
        {"Content-Type": "text/csv"},
    )
    answer = json.loads(urllib.request.urlopen(request, timeout=60).read())
    return list(answer["predictions"])


@contextmanager
def mlflow_server(
    folder: Path, port: int = 0, backend: str = "", artifacts: str = "", **environment: str
) -> Iterator[str]:
    """A real MLflow server on loopback that serves artifacts; yields its address.

    Args:
        folder: for its log, and for SQLite and artifacts where nothing else is said.
        port: any free one by default.
        backend, artifacts: where it stores.
        environment: further variables.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(
        [
            str(BIN / "mlflow"),
            "server",
            "--host=127.0.0.1",
            f"--port={port}",
            f"--backend-store-uri={backend or f'sqlite:///{folder}/mlflow.db'}",
            f"--artifacts-destination={artifacts or f'{folder}/artifacts'}",
            "--workers=1",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **environment},
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2).read()
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, "MLflow did not start"
                time.sleep(0.3)
        yield address
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait()
        log.close()
