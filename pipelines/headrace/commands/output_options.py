"""Define what every command takes of its output: -v, -q and --log-file; and hand it to consoles.

The options are added to a command's own where the command line is assembled, so that no command
names them, and each has them.
"""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Show every message of progress, all metrics, and the lines that libraries write.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Show no progress: the result and errors alone."),
]
LogFile = Annotated[
    str | None,
    typer.Option(
        "--log-file",
        metavar="FILE",
        envvar="HEADRACE_LOG_FILE",
        help="Also append everything to this file, with the date, as -v shows it.",
    ),
]
_OPTIONS = {"verbose": Verbose, "quiet": Quiet, "log_file": LogFile}
_DEFAULTS = {"verbose": False, "quiet": False, "log_file": None}


@dataclass(frozen=True)
class OutputSettings:
    """How much a command shows, and where else it goes.

    Attributes:
        verbose: everything, the lines of libraries too.
        quiet: results and errors alone.
        log_file: path of a file that everything is appended to.
    """

    verbose: bool = False
    quiet: bool = False
    log_file: str | None = None


_CURRENT: ContextVar[OutputSettings | None] = ContextVar("headrace_output", default=None)


def get_output_settings() -> OutputSettings:
    """Return the settings of the command that runs; the defaults where Python calls it."""
    return _CURRENT.get() or OutputSettings()


def add_output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that has the options of this module beside its own."""
    signature = inspect.signature(command)
    added = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=option, default=_DEFAULTS[name]
        )
        for name, option in _OPTIONS.items()
    ]

    @wraps(command)
    def run_with_options(
        *, verbose: bool = False, quiet: bool = False, log_file: str | None = None, **values: Any
    ) -> Any:
        if verbose and quiet:
            raise typer.BadParameter("--verbose and --quiet exclude each other")
        token = _CURRENT.set(OutputSettings(verbose, quiet, log_file))
        try:
            return command(**values)
        finally:
            _CURRENT.reset(token)

    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
           for parameter in signature.parameters.values()]  # fmt: skip
    described: Any = run_with_options
    described.__signature__ = signature.replace(parameters=[*own, *added])
    described.__annotations__ = {**command.__annotations__, **_OPTIONS}
    return run_with_options
