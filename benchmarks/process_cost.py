"""Measure what a command costs: its processor seconds by kind of process, up to each of its lines.

Every process of its tree is looked at 20 times a second; of one that ends, what was seen last is
counted. Those that live for less than that are missed.
"""

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

_LOOK_SECONDS = 0.05
# A word of the command line -> what such a process is; the first that fits.
_KINDS = (
    ("headrace.distributed.rank", "ranks"),
    ("pyspark.daemon", "Python workers of Spark"),
    ("pyspark/daemon", "Python workers of Spark"),
    ("org.apache.spark", "Spark's JVM"),
    ("java", "Spark's JVM"),
    ("spark-submit", "Spark's JVM"),
    ("spark-class", "Spark's JVM"),
    ("mlflow", "MLflow"),
)
COMMAND, _OTHERS = "command", "others"


@dataclass(frozen=True)
class Mark:
    """A line that a command has written.

    Attributes:
        stage: of the line; "" before the first one.
        text: what it says.
        seconds: from the command's start.
        cpu_seconds: of all its processes until then.
    """

    stage: str
    text: str
    seconds: float
    cpu_seconds: float


@dataclass
class Cost:
    """What a command cost.

    Attributes:
        seconds: from start to end.
        cpu_seconds: of all its processes, by kind.
        marks: its lines.
        result: the JSON on its last line.
    """

    seconds: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def total_cpu_seconds(self) -> float:
        return sum(self.cpu_seconds.values())


class _Meter:
    """Adds up the processor seconds of a tree of processes while it runs."""

    def __init__(self, process: int) -> None:
        self._root = psutil.Process(process)
        self._seen: dict[tuple[int, float], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def look(self) -> float:
        """Look at all processes, and return the processor seconds of the tree until now."""
        with self._lock:
            try:
                processes = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                processes = []
            for process in processes:
                try:
                    times = process.cpu_times()
                    key = (process.pid, process.create_time())
                    kind = COMMAND if process == self._root else _name_kind(process.cmdline())
                except psutil.Error:
                    continue
                known, before = self._seen.get(key, (kind, 0.0))
                # One that has ended and was not waited for yet has no command line any more.
                kind = known if kind == _OTHERS else kind
                self._seen[key] = (kind, max(before, times.user + times.system))
            return sum(seconds for _, seconds in self._seen.values())

    def add_up(self) -> dict[str, float]:
        """Add up the processor seconds of each kind of process."""
        totals: dict[str, float] = {}
        for kind, seconds in self._seen.values():
            totals[kind] = totals.get(kind, 0.0) + seconds
        return totals


def measure_command(command: Sequence[str], cwd: str | None = None) -> Cost:
    """Run a command of `headrace` and measure it; its log must be JSON (`--log-format json`).

    Raises:
        subprocess.CalledProcessError: it failed; the error has what it said.
    """
    cost = Cost()
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    meter = _Meter(process.pid)
    ended = threading.Event()
    outputs: list[str] = []

    def look_often() -> None:
        while not ended.wait(_LOOK_SECONDS):
            meter.look()

    threads = [
        threading.Thread(target=look_often),
        threading.Thread(target=lambda: outputs.extend(process.stdout or ())),
    ]
    for thread in threads:
        thread.start()
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("{"):
            entry = json.loads(line)
            now = time.monotonic() - started
            cost.marks.append(Mark(entry.get("stage", ""), entry["message"], now, meter.look()))
    code = process.wait()
    cost.seconds = time.monotonic() - started
    ended.set()
    for thread in threads:
        thread.join()
    if code:
        raise subprocess.CalledProcessError(code, command, "".join(outputs), "".join(lines))
    cost.cpu_seconds = meter.add_up()
    cost.result = json.loads(outputs[-1]) if outputs else {}
    return cost


def _name_kind(command: Sequence[str]) -> str:
    text = " ".join(command)
    return next((kind for word, kind in _KINDS if word in text), _OTHERS)
