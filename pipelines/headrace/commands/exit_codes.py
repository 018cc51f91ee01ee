"""From an exception to what a person reads and a scheduler sees: the exit code.

0 done, 1 a failed run, 2 a bad recipe or bad options, 3 a gate that failed, 130 interrupted,
143 terminated.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from headrace.commands.console import Console
from headrace.errors import EXIT_FAILED_RUN, HeadraceError
from headrace.redaction import redact_text
from headrace.signals import EXIT_TERMINATED, Terminated, raise_on_sigterm

_EXIT_INTERRUPTED = 130


@contextmanager
def guarded(console: Console, command: str) -> Iterator[None]:
    """Run a command's body; end the process with the right code where it fails."""
    try:
        with raise_on_sigterm():
            yield
    except HeadraceError as error:
        _fail(console, command, error, redact_text(str(error)), error.exit_code)
    except KeyboardInterrupt as error:
        _fail(console, command, error, "interrupted", _EXIT_INTERRUPTED)
    except Terminated as error:
        _fail(console, command, error, "terminated by SIGTERM", EXIT_TERMINATED)
    except Exception as error:
        sys.stderr.write(redact_text(traceback.format_exc()))
        text = "this is a defect of Headrace; please report it with the traceback above"
        first = redact_text(str(error).splitlines()[0] if str(error) else "")
        message = f"{type(error).__name__}: {first} ({text})"
        _fail(console, command, error, message, EXIT_FAILED_RUN)


def run_job(command: Callable[..., Any]) -> None:
    """Run a command as a script of its own, with the options it has under `headrace`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    app()


def _fail(console: Console, command: str, error: BaseException, message: str, code: int) -> None:
    console.error(f"headrace {command}: {message}", code)
    failure = {"type": type(error).__name__, "message": message}
    console.result({"command": command, "ok": False, "exit_code": code, "error": failure})
    raise typer.Exit(code) from error
