"""Running Headrace and its neighbours as processes, the way users do."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    # mlflow.set_tracking_uri in a test sets the variable too; a command must not inherit it.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
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
    return run(str(BIN / "headrace"), *arguments, **environment)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A real MLflow server on loopback, SQLite behind it, serving artifacts; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(
        [
            str(BIN / "mlflow"),
            "server",
            "--host=127.0.0.1",
            f"--port={port}",
            f"--backend-store-uri=sqlite:///{folder}/mlflow.db",
            f"--artifacts-destination={folder}/artifacts",
            "--workers=1",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
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
