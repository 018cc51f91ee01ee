"""However and whenever a command ends, nothing of it goes on, and nothing temporary is left."""

import os
import pty
import random
import signal
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.running import BIN, prepared_tiny
from tests.mlflow_store import copy_empty_store
from tests.tiny import tiny_tree

pytestmark = pytest.mark.e2e
# Exit code by signal, as a shell has it; 0 and 1 where the command was done before or just then.
CODES = {
    signal.SIGINT: {130, -signal.SIGINT},
    signal.SIGTERM: {143, -signal.SIGTERM},
    signal.SIGHUP: {143, -signal.SIGHUP},
    signal.SIGKILL: {-signal.SIGKILL},
}
# Seconds in which the moments are: a command is done in twelve on a quiet machine.
SECONDS = 14.0


def find_processes(marker: str) -> list[str]:
    """The command lines of all processes that have inherited a variable from a command."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(line[:120])
        except OSError:
            continue
    return found


class Start:
    """A command that was started with a terminal or without one, and a temporary folder."""

    def __init__(self, arguments: list[str], folder: Path, closes_terminal: bool) -> None:
        self.marker = f"HEADRACE_TEST={uuid4().hex}"
        self.temporary = folder / "temporary"
        self.temporary.mkdir(exist_ok=True)
        self.workdir = folder / "w"
        copy_empty_store(self.workdir / "mlflow/mlflow.db")
        key, value = self.marker.split("=")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        environment |= {key: value, "TMPDIR": str(self.temporary)}
        command = [str(BIN / "headrace"), *arguments, "--workdir", str(self.workdir)]
        self.terminal = None
        output = subprocess.DEVNULL
        if closes_terminal:
            self.terminal, output = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=output, stdout=output, stderr=output, env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal if closes_terminal else None,  # noqa: PLW1509
        )  # fmt: skip
        if self.terminal is not None:
            os.close(output)

    def end(self, how: signal.Signals | None) -> int:
        """End it by a signal, or by closing its terminal."""
        if how is None:
            assert self.terminal is not None
            os.close(self.terminal)
        else:
            self.process.send_signal(how)
        return self.process.wait(timeout=90)

    def check_nothing_is_left(self) -> None:
        deadline = time.monotonic() + 20  # SIGKILL: the guard is at work yet
        while time.monotonic() < deadline:
            if not find_processes(self.marker) and not list(self.temporary.iterdir()):
                break
            time.sleep(0.05)
        assert find_processes(self.marker) == []
        assert list(self.temporary.iterdir()) == []
        assert list(self.workdir.rglob("spark-local-*")) == []


def _take_terminal() -> None:
    """Make standard input the terminal of the new session, so that closing it sends SIGHUP."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and its recipe."""
    tree = tiny_tree()
    tree["train"] |= {"epochs": 40}
    return prepared_tiny(tmp_path_factory.mktemp("ends"), tree)


@pytest.mark.long
@pytest.mark.parametrize("number", range(60))
def test_nothing_is_left_whenever_it_ends(folder: Path, number: int) -> None:
    """Four signals and a terminal that is closed, at random moments of prepare and train."""
    chance = random.Random(number)
    how = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, None][number % 5]
    recipe = folder / "tiny.yaml"
    arguments = chance.choice(
        [["prepare", str(recipe), "--full"], ["train", str(recipe), "--ranks", "2"]]
    )
    start = Start(arguments, folder, how is None)
    time.sleep(chance.random() * SECONDS)
    code = start.end(how)
    assert code in {0, 1} | CODES[how or signal.SIGHUP], (arguments, how, code)
    if how is not signal.SIGKILL:  # it cleaned up before it ended
        assert find_processes(start.marker) == []
    start.check_nothing_is_left()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_jvm_that_is_starting_is_ended(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C while Spark starts: its JVM went on for ever."""
    start = Start(["doctor"], tmp_path, closes_terminal=False)
    deadline = time.monotonic() + 60
    while not any("java" in line for line in find_processes(start.marker) if "-cp" in line):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert start.end(how) in CODES[how]
    if how is not signal.SIGKILL:
        assert find_processes(start.marker) == []
    start.check_nothing_is_left()


@pytest.mark.long
@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_closed_pipe_ends_nothing(folder: Path, closed: str) -> None:
    recipe = folder / "tiny.yaml"
    reading, writing = os.pipe()
    os.close(reading)
    copy_empty_store(folder / "w/mlflow/mlflow.db")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [str(BIN / "headrace"), "train", str(recipe), "--workdir", str(folder / "w"),
         "--set", "train.epochs=1", "--json"],
        stdout=writing, stderr=writing if closed == "both" else subprocess.PIPE, env=environment,
        check=False, text=True,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == 0, done.stderr
    if closed == "stdout":
        assert "standard output could not be written (Broken pipe)" in done.stderr
        assert done.stderr.count("could not be written") == 1
