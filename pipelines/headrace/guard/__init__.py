"""Guard a command: no process and no temporary folder of it outlives it, however it ends.

A process of its own waits for the command's end, which the kernel tells it of even where the
command was killed. It then kills whatever the command started (a variable of the environment tells
which that is) and removes its temporary folders. Nothing else can do that for all of them: the JVM
of Spark, for one, goes on for ever where the command ends while it starts.
"""

import contextlib
import os
import pkgutil
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

MARKER = "HEADRACE_COMMAND"
"""Variable of the environment that everything a command starts has."""
# Time for the processes to be gone and the folders to be removed, which may be large.
_WAIT_SECONDS = 60.0
_guards: list[subprocess.Popen[bytes]] = []


@contextlib.contextmanager
def guard_command() -> Iterator[None]:
    """Guard this process for the length of the block: the whole of a command.

    Temporary files are made in a folder of their own below the usual one, where there is one. At
    the end of the block all processes that were started in it, and theirs, are gone.
    """
    name = secrets.token_hex(8)
    folder = _name_temporary_folder(name)
    guard = _start_guard(name)
    before = {key: os.environ.get(key) for key in (MARKER, "TMPDIR")}
    usual = tempfile.tempdir
    _guards.append(guard)
    try:
        os.environ[MARKER] = name
        if folder:
            remove_at_end(folder)
            with contextlib.suppress(OSError):  # full, or read-only: doctor says which
                Path(folder).mkdir(mode=0o700)
                os.environ["TMPDIR"] = tempfile.tempdir = folder
        yield
    finally:
        _guards.remove(guard)
        tempfile.tempdir = usual
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        _end_guard(guard)


def remove_at_end(folder: str) -> None:
    """Have a folder removed at the end of the command; does nothing outside of one.

    Args:
        folder: absolute; it need not exist yet.
    """
    for guard in _guards[-1:]:
        assert guard.stdin is not None
        with contextlib.suppress(OSError):  # the guard itself was killed
            guard.stdin.write(os.fsencode(folder) + b"\0")
            guard.stdin.flush()


def find_usual_temporary_folder() -> str:
    """Return the machine's folder of temporary files, and not the command's own in it."""
    folder = Path(tempfile.gettempdir())
    return str(folder.parent if folder.name == f"headrace-{os.environ.get(MARKER)}" else folder)


def _name_temporary_folder(name: str) -> str | None:
    try:
        return str(Path(tempfile.gettempdir()).absolute() / f"headrace-{name}")
    except OSError:
        return None


def _start_guard(name: str) -> "subprocess.Popen[bytes]":
    """Start the guard: out of reach of the terminal's signals, and without what it looks for."""
    file = Path(__file__).with_name("main.py")
    program = [str(file)]
    if not file.is_file():  # the package is a zip, from --py-files
        source = pkgutil.get_data(__name__, "main.py")
        assert source is not None
        program = ["-c", source.decode()]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", *program, f"{MARKER}={name}", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def _end_guard(guard: "subprocess.Popen[bytes]") -> None:
    assert guard.stdin is not None
    with contextlib.suppress(OSError):
        guard.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        guard.wait(_WAIT_SECONDS)
