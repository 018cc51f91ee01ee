"""A real standalone Spark cluster, whose executors have no Headrace of their own.

On loopback, or on hosts that are network namespaces.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import psutil
import pyspark

from tests.e2e.namespaces import HERE, Place
from tests.e2e.running import ROOT, Done

_SPARK = Path(pyspark.__file__).parent
_CLASS = "org.apache.spark.deploy"
GPU = "3"
"""Address of the GPU that each worker claims to have; nobody computes on it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A master and workers as processes; see the module."""

    def __init__(
        self, folder: Path, master: Place = HERE, workers: Sequence[Place] = (HERE, HERE)
    ) -> None:
        """
        Args:
            folder: for logs and work.
            master: its host, and the drivers'.
            workers: host of each.
        """
        self.folder = folder
        self._master, self._places = master, list(workers)
        self.python = python_without_headrace(folder / "python")
        self.package = _package(folder / "dist")
        self._gpus = folder / "gpus.sh"
        self._gpus.write_text(f'#!/bin/sh\necho \'{{"name": "gpu", "addresses": ["{GPU}"]}}\'\n')
        self._gpus.chmod(0o755)
        self._port = free_port()
        self.url = f"spark://{master.address}:{self._port}"
        self._page = free_port()
        self._processes: list[subprocess.Popen] = []
        self.workers: list[subprocess.Popen] = []

    def __enter__(self) -> "Cluster":
        ports = ("--port", str(self._port), "--webui-port", str(self._page))
        self._start("master.Master", self._master, *ports)
        for place in self._places:
            self.add_worker(place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for process in self._processes:
            _kill_tree(process)

    def add_worker(self, place: Place = HERE) -> None:
        """Start a worker, and wait until the master knows it."""
        before = self._alive()
        number = len(self.workers)
        conf = self.folder / "worker.conf"
        conf.write_text(
            "spark.worker.resource.gpu.amount 1\n"
            f"spark.worker.resource.gpu.discoveryScript {self._gpus}\n"
        )
        process = self._start(
            "worker.Worker", place, "--cores", "2", "--memory", "3g", "--webui-port", "0",
            "--work-dir", str(self.folder / f"work-{number}"), "--properties-file", str(conf),
            self.url,
        )  # fmt: skip
        self.workers.append(process)
        _wait(lambda: self._alive() > before, 60, "the worker did not register")

    def kill_worker(self) -> None:
        """As when a host is lost: the worker's JVM, its executors and their Python processes."""
        _kill_tree(self.workers.pop())

    def kill_executor(self) -> None:
        """The JVM of one executor alone; its worker starts another one."""
        self.executors()[0].kill()

    def executors(self) -> list[psutil.Process]:
        found = []
        for worker in self.workers:
            for child in psutil.Process(worker.pid).children(recursive=True):
                if any("CoarseGrainedExecutorBackend" in word for word in _words(child)):
                    found.append(child)
        return found

    def submit(
        self,
        stage: str,
        *options: str,
        before: Sequence[str] = (),
        watch: "Sees | None" = None,
        seconds: float = 900,
        **env: str,
    ) -> Done:
        """Run a stage by `deploy/spark/submit.sh`.

        Args:
            stage: a file of `jobs/`.
            options: the recipe, and what follows.
            before: options of spark-submit.
            watch: is shown every line as it comes.
            seconds: that it may take.
            env: further environment.
        """
        words = [
            str(ROOT / "deploy/spark/submit.sh"), self.url, stage,
            "--conf", f"spark.driver.host={self._master.address}", "--executor-memory", "2g",
            "--conf", "spark.ui.enabled=false", *before, "--", *options,
        ]  # fmt: skip
        out, err = (self.folder / f"{stage}.{what}" for what in ("out", "err"))
        with out.open("w") as standard, err.open("w") as error:
            process = subprocess.Popen(
                self._master.command(words),
                stdout=standard,
                stderr=error,
                cwd=self.folder,  # where no Headrace is to be found by chance
                start_new_session=True,
                env=self._environment(self._master)
                | {"HEADRACE_PYTHON": self.python, "HEADRACE_PACKAGE": self.package}
                | env,
            )
        deadline = time.monotonic() + seconds
        seen = 0
        try:
            while process.poll() is None:
                time.sleep(0.1)
                assert time.monotonic() < deadline, f"{stage} goes on:\n{out.read_text()}"
                # spark-submit writes all that its Python says to standard output.
                lines = out.read_text().splitlines()
                for line in lines[seen:]:
                    if watch is not None:
                        watch.see(line)
                seen = len(lines)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=30)
        return Done(process.returncode, out.read_text(), err.read_text())

    def _start(self, name: str, place: Place, *arguments: str) -> subprocess.Popen:
        log = (self.folder / f"{name}-{len(self._processes)}.log").open("w")
        words = [str(_SPARK / "bin/spark-class"), f"{_CLASS}.{name}", "--host", place.address]
        process = subprocess.Popen(
            place.command([*words, *arguments]),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            start_new_session=True,
            env=self._environment(place),
        )
        self._processes.append(process)
        return process

    def _environment(self, place: Place) -> dict[str, str]:
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("MLFLOW_", "SPARK_", "PYSPARK_")) and k != "PYTHONPATH"
        }
        return kept | {"SPARK_HOME": str(_SPARK), "SPARK_LOCAL_IP": place.address}

    def _alive(self) -> int:
        """Workers that the master knows; asked on the master's host."""
        page = f"http://{self._master.address}:{self._page}/json/"
        script = f"import urllib.request as u; print(u.urlopen({page!r}).read().decode())"
        deadline = time.monotonic() + 60
        while True:
            told = subprocess.run(
                self._master.command([sys.executable, "-c", script]),
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if told.returncode == 0:
                return int(json.loads(told.stdout)["aliveworkers"])
            assert time.monotonic() < deadline, f"the master did not start: {told.stderr}"
            time.sleep(0.3)


class Sees(Protocol):
    """Is shown lines."""

    def see(self, line: str) -> None: ...


class Watch:
    """Does something once, a moment after a line with a certain text was printed."""

    def __init__(self, text: str, then: Callable[[], None], after: float = 0.0) -> None:
        self._text, self._then, self._after = text, then, after
        self.done = False

    def see(self, line: str) -> None:
        if not self.done and self._text in line:
            self.done = True
            time.sleep(self._after)
            self._then()


def python_without_headrace(folder: Path) -> str:
    """An interpreter with this environment's packages, and without this checkout."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next((folder / "lib").glob("python*/site-packages"))
    # The .pth files of a folder that a .pth file names are not read; one of them is this checkout.
    here = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(here) + "\n")
    python = str(folder / "bin/python")
    found = subprocess.run(
        [python, "-c", "import pyspark; import headrace"],
        capture_output=True, text=True, check=False, cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    assert "No module named 'headrace'" in found.stderr, found
    return python


def _package(folder: Path) -> str:
    """The zip that `make package` makes."""
    subprocess.run([str(ROOT / "scripts/package.sh"), str(folder)], check=True)
    return str(next(folder.glob("headrace-*.zip")))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill_tree(process: subprocess.Popen) -> None:
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    process.kill()
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait(timeout=30)


def _wait(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.3)
