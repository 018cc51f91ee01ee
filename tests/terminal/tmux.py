"""A real terminal of 80 columns and 24 rows: a shell in tmux, whose keys and screen a test has."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.running import BIN

COLUMNS, ROWS = 80, 24
_PROMPT = "$ "


def find_tmux() -> str:
    """The program; the test is skipped where it is not installed."""
    program = shutil.which("tmux")
    if program is None:
        pytest.skip("tmux is not installed: make setup-terminal (Debian: apt-get install tmux)")
    return program


class Screen:
    """A shell on a terminal."""

    def __init__(self, socket: str, session: str) -> None:
        self._socket, self._session = socket, session

    def tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def type(self, text: str) -> None:
        """Type a line, and press Enter."""
        self.tmux("send-keys", "-t", self._session, "-l", text)
        self.tmux("send-keys", "-t", self._session, "Enter")

    def press(self, key: str) -> None:
        """Press a key by tmux's name of it, for example `C-c`."""
        self.tmux("send-keys", "-t", self._session, key)

    def read(self) -> list[str]:
        """The rows of the screen as they are now."""
        return self.tmux("capture-pane", "-p", "-t", self._session).splitlines()

    def read_all(self) -> list[str]:
        """All that was ever shown, rows as they were broken by the terminal."""
        return self.tmux("capture-pane", "-p", "-S", "-", "-t", self._session).splitlines()

    def read_joined(self) -> str:
        """The same as it is copied: rows that the terminal broke are joined."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", self._session)

    def read_colored(self) -> list[str]:
        """All that was ever shown, with the escape sequences of its colours."""
        return self.tmux("capture-pane", "-p", "-e", "-S", "-", "-t", self._session).splitlines()

    def clear(self) -> None:
        """Forget what was shown."""
        self.tmux("send-keys", "-R", "-t", self._session)
        self.tmux("clear-history", "-t", self._session)
        self.type("")
        self.wait_for_prompt(10)

    def wait_for(self, pattern: str, seconds: float) -> list[str]:
        """Wait until the screen shows a text; return the rows."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, "\n".join(rows := self.read())):
            assert time.monotonic() < deadline, "\n".join([f"no {pattern!r} on:", *rows])
            time.sleep(0.1)
        return rows

    def wait_for_prompt(self, seconds: float) -> list[str]:
        """Wait until the shell is idle again; return all that was shown, without the prompt."""
        deadline = time.monotonic() + seconds
        while not (rows := [r for r in self.read_all() if r]) or rows[-1] != _PROMPT.rstrip():
            assert time.monotonic() < deadline, "\n".join(["no prompt on:", *rows[-30:]])
            time.sleep(0.2)
        return rows[:-1]


@contextmanager
def open_screen(folder: Path, **environment: str) -> Iterator[Screen]:
    """A shell in a folder, on a terminal of its own that ends with the block."""
    find_tmux()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HEADRACE_"))}
    for name in ("TMUX", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PYTHONPATH"):
        inherited.pop(name, None)
    values = {
        "PATH": f"{BIN}:{os.environ['PATH']}", "LANG": "C.UTF-8", "HISTFILE": "",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **environment,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tmux-") as sockets:
        socket = f"{sockets}/s"
        screen = Screen(socket, "headrace")
        subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", socket, "new-session", "-d", "-s", "headrace",
             "-x", str(COLUMNS), "-y", str(ROWS), "-c", str(folder),
             f"PS1='{_PROMPT}' bash --norc --noprofile"],
            check=True, env={**inherited, **values},
        )  # fmt: skip
        try:
            screen.tmux("set-option", "-t", "headrace", "history-limit", "5000")
            screen.tmux("set-option", "-t", "headrace", "status", "off")
            screen.tmux("resize-window", "-t", "headrace", "-x", str(COLUMNS), "-y", str(ROWS))
            screen.wait_for_prompt(20)
            yield screen
        finally:
            subprocess.run(["tmux", "-S", socket, "kill-server"], check=False)
