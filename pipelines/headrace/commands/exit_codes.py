"""Turn what ended a command into a message for the user and an exit code for schedulers.

0 done, 1 a failed run, 2 a bad recipe or bad options, 3 a gate that failed, 130 interrupted,
143 terminated (SIGTERM, or SIGHUP of a terminal that was closed).
"""

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from headrace.commands.console import Console
from headrace.commands.first_checks import describe_os_error, is_of_environment
from headrace.errors import (
    EXIT_FAILED_GATE,
    EXIT_FAILED_RUN,
    HeadraceError,
    PreemptedError,
    get_first_line,
)
from headrace.output import escape_controls
from headrace.redaction import redact_text
from headrace.signals import EXIT_TERMINATED, Terminated, raise_on_termination

_EXIT_INTERRUPTED = 130


@contextmanager
def report_failures(console: Console, command: str) -> Iterator[None]:
    """Report an exception of a command's body, and end the process with its exit code.

    Args:
        console: takes the message and, with `--json`, the result of the failure.
        command: as it is typed after `headrace`.

    Raises:
        typer.Exit: the body failed.
    """
    try:
        with raise_on_termination():
            yield
    except HeadraceError as error:
        _end_with_failure(console, command, error, str(error), error.exit_code)
    except KeyboardInterrupt as error:
        _end_with_failure(console, command, error, "interrupted", _EXIT_INTERRUPTED)
    except Terminated as error:
        message = f"terminated by {error.signal_name}"
        _end_with_failure(console, command, error, message, EXIT_TERMINATED)
    except OSError as error:
        if not is_of_environment(error):
            _end_with_defect(console, command, error)
        message = f"{describe_os_error(error)} (a folder that is named by an option, by the recipe "
        message += "or by TMPDIR: check its rights and its space)"
        _end_with_failure(console, command, error, message, EXIT_FAILED_RUN)
    except Exception as error:
        _end_with_defect(console, command, error)


@contextmanager
def note_interruption(*notes: str) -> Iterator[None]:
    """Add notes, on what is there and how to go on, to what interrupts the block.

    Args:
        notes: a line each, shown with the message under which the command ends.
    """
    try:
        yield
    except (KeyboardInterrupt, Terminated, PreemptedError) as error:
        for note in notes:
            error.add_note(note)
        raise


def _end_with_defect(console: Console, command: str, error: Exception) -> None:
    sys.stderr.write(escape_controls(redact_text(traceback.format_exc())))
    request = "this is a defect of Headrace; please report it with the traceback above"
    message = f"{type(error).__name__}: {get_first_line(error)} ({request})"
    _end_with_failure(console, command, error, message, EXIT_FAILED_RUN)


def choose_exit_code(verdict: Mapping[str, Any]) -> int:
    """Return the exit code that a verdict of the gates stands for: 3 where one failed, else 0.

    A verdict without any gate (`passed` is null) has none that failed.
    """
    return EXIT_FAILED_GATE if verdict["passed"] is False else 0


def _end_with_failure(
    console: Console, command: str, error: BaseException, message: str, code: int
) -> None:
    notes = [f"  {note}" for note in getattr(error, "__notes__", ())]
    message = redact_text("\n".join([message, *notes]))
    console.print_error(f"headrace {command}: {message}", code)
    failure = {"type": type(error).__name__, "message": message}
    console.print_result({"command": command, "ok": False, "exit_code": code, "error": failure})
    raise typer.Exit(code) from error
