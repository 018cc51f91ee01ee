"""Run a command of Headrace in a process of its own, and return what it reports.

So the caller's process keeps its signal handlers, environment, module path, log levels, event loop
and whatever it has told MLflow, by construction. The protocol is that of schedulers: progress as
lines of JSON, and the result as the last line of standard output.
"""

import contextlib
import json
import os
import signal
import site
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import headrace
from headrace import errors, extras
from headrace.errors import EXIT_FAILED_GATE, HeadraceError, RecipeError
from headrace.processes import build_python_command

Show = Callable[[str], None]

# Seconds that a command which was interrupted has to write its checkpoint and to end.
_ENDING_SECONDS = 90.0
# Lines of a command that died without a word, for the error.
_LAST_LINES = 15
# Variables for this process alone: by which pyspark's shell hands its own JVM to it, and those that
# a kernel sets for what is shown in cells.
_NOT_PASSED_ON = (
    "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET", "MPLBACKEND", "FORCE_COLOR", "CLICOLOR_FORCE",
)  # fmt: skip


def run_command(arguments: Sequence[str], show: Show) -> dict[str, Any]:
    """Run `headrace` with these arguments, and return its result.

    Args:
        arguments: the command and its options, without `--json`.
        show: called with each line of progress, in this thread.

    Returns:
        what `--json` prints, of a command that succeeded or of which a gate failed.

    Raises:
        HeadraceError: the command failed: the same kind of error with the same text.
        KeyboardInterrupt: it was interrupted, or this process was; it has ended then.
    """
    command = build_python_command("-m", "headrace.api.child", *arguments)
    process = subprocess.Popen(
        [*command, "--json", "--log-format", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=_build_environment(),
        start_new_session=True,  # an interrupt is passed on once, and not by the terminal as well
    )
    assert process.stdout is not None
    assert process.stderr is not None
    out: deque[str] = deque(maxlen=1)
    reader = threading.Thread(target=out.extend, args=(process.stdout,), daemon=True)
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        reader.start()
        for line in process.stderr:
            if text := _format_line(line.rstrip("\n")):
                last_lines.append(text)
                show(text)
        process.wait()
    except BaseException:
        _end(process, process.stderr, show)
        raise
    finally:
        with contextlib.suppress(RuntimeError):  # it was interrupted before the reader was started
            reader.join(_ENDING_SECONDS)
        for stream in (process.stdout, process.stderr):
            stream.close()
    return _read_result(arguments[0], process.returncode, "".join(out), last_lines)


def _build_environment() -> dict[str, str]:
    """Build the environment of the command: this one's, and where Headrace itself is."""
    environment = {k: v for k, v in os.environ.items() if k not in _NOT_PASSED_ON}
    root = str(Path(headrace.__file__).absolute().parents[1])
    with contextlib.suppress(AttributeError):  # some virtual environments have no such functions
        if root in (*site.getsitepackages(), site.getusersitepackages()):
            return environment
    path = environment.get("PYTHONPATH")
    return environment | {"PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}


def _format_line(line: str, with_errors: bool = False) -> str:
    """Return a line of the JSON log as text; "" of an error, which is raised, and of the result."""
    try:
        entry = json.loads(line)
        message, level = str(entry["message"]), entry["level"]
    except (ValueError, TypeError, KeyError):  # of a library, or a traceback
        return line
    if (level == "error" and not with_errors) or "result" in entry:
        return ""
    stage = f"{entry['stage']}: " if entry.get("stage") else ""
    seconds = f" in {entry['seconds']:.1f} s" if message == "done" and "seconds" in entry else ""
    count = f" ({entry['done']:,} of {entry['total']:,})" if entry.get("total") else ""
    return f"{stage}{message}{count}{seconds}"


def _end(process: "subprocess.Popen[str]", lines: Iterable[str], show: Show) -> None:
    """End a command as Ctrl-C does, show what it says of that, and use force where it does not."""
    force = threading.Timer(_ENDING_SECONDS, process.kill)
    try:
        force.start()
        process.send_signal(signal.SIGINT)  # nothing happens where it has ended
        for line in lines:
            if text := _format_line(line.rstrip("\n"), with_errors=True):
                with contextlib.suppress(Exception):  # it may be why the command is ended
                    show(text)
        process.wait()
    except BaseException:  # somebody interrupts once more
        process.kill()
        process.wait()
        raise
    finally:
        force.cancel()


def _read_result(command: str, code: int, line: str, last_lines: Sequence[str]) -> dict[str, Any]:
    """Return the result of a command that ended, or raise its error."""
    try:
        result: dict[str, Any] = json.loads(line)
        error = result.get("error")
    except (ValueError, AttributeError):
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        tail = "\n".join(last_lines)
        raise HeadraceError(f"headrace {command} {how} without a result\n{tail}") from None
    if code not in (0, EXIT_FAILED_GATE) or error:
        _raise_error(error or {"type": "", "message": f"headrace {command} ended with {code}"})
    return result


def _raise_error(error: dict[str, str]) -> NoReturn:
    """Raise the error that ended a command, as the kind of error that it was."""
    name, message = error["type"], error["message"]
    if name == "KeyboardInterrupt":
        raise KeyboardInterrupt(message)
    kind = getattr(errors, name, None) or getattr(extras, name, None)
    if kind is RecipeError:
        raise RecipeError.restore(message)
    if isinstance(kind, type) and issubclass(kind, HeadraceError):
        raise kind(message)
    raise HeadraceError(message)


def has_own_spark() -> bool:
    """Return whether this process has a Spark session, which commands do not use."""
    if "pyspark.sql" not in sys.modules:
        return False
    return sys.modules["pyspark.sql"].SparkSession.getActiveSession() is not None
