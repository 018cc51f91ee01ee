"""A real Spark Connect server on loopback, of the JARs that PySpark brings.

The Python of its tasks has this environment's packages and no Headrace: what tasks run is what the
client sends.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pyspark

from tests.e2e.cluster import free_port, python_without_headrace

_SPARK = Path(pyspark.__file__).parent
_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
_START_SECONDS = 300


class ConnectServer:
    """The server as a process; a context manager."""

    def __init__(self, folder: Path, *options: str, python: str | None = None) -> None:
        """
        Args:
            folder: for its log, warehouse and scratch files.
            options: further ones of spark-submit.
            python: of its tasks; one without Headrace by default.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self._options = folder, free_port(), options
        self.python = python or python_without_headrace(folder / "python")
        self.url = f"sc://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "ConnectServer":
        settings = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(self.folder / "local"),
            "spark.sql.shuffle.partitions": "8",
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
            "spark.ui.enabled": "false",
        }
        conf = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SPARK_R"))}
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    str(_SPARK / "bin/spark-submit"), "--class", _CLASS, "--master", "local[2]",
                    "--driver-memory", "2g", *conf, *self._options, "spark-internal",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={
                    **inherited,
                    "SPARK_HOME": str(_SPARK),
                    "SPARK_LOCAL_IP": "127.0.0.1",
                    "PYSPARK_PYTHON": self.python,
                },
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while "Spark Connect server started" not in self.log.read_text():
            assert self._process.poll() is None, self.log.read_text()[-5000:]
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.3)
        return self

    def kill(self) -> None:
        """Have it gone in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def list_open_operations(self) -> set[str]:
        """List what it runs for its clients, by its log."""
        text = self.log.read_text(errors="replace")
        started, ended = (
            {*re.findall(rf"ExecuteHolder ExecuteKey\((\S+)\) is {how}", text)}
            for how in ("created", "removed")
        )
        return started - ended

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()
