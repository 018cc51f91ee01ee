"""The frame that every command runs in: console, recipe, observers, guard, result and exit code.

What a command does inside the frame is written in the command's own module, and how an exception
becomes an exit code in `exit_codes.py`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from headrace.commands.console import Console, LogFormat
from headrace.commands.exit_codes import report_failures
from headrace.commands.observers import open_observers
from headrace.commands.options import load_with_overrides
from headrace.commands.output_options import add_output_options, get_output_settings
from headrace.extras import require_extras
from headrace.garbage import collect_rarely, freeze_objects
from headrace.guard import guard_command
from headrace.output import guard_output
from headrace.recipe import Recipe

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Of every command line; the commands below it inherit them."""


class Command:
    """A command while its body runs; see `open_command`."""

    def __init__(self, name: str, console: Console) -> None:
        """
        Args:
            name: as it is typed after `headrace`, for example `lake flights`.
            console: where the command writes.
        """
        self.name, self.console = name, console
        self.exit_code = 0
        """The process ends with it after the body; set by `report_result`."""

    def open_recipe(self, path: str, workdir: str, overrides: list[str] | None) -> Recipe:
        """Load the recipe that the options describe, and have observers follow its stages.

        Raises:
            RecipeError: with every problem of the recipe.
        """
        recipe = load_with_overrides(path, workdir, overrides)
        self.observe_stages(recipe)
        return recipe

    def observe_stages(self, recipe: Recipe) -> None:
        """Have the observers that the environment asks for follow the stages of a recipe."""
        self.console.observers = open_observers(recipe, os.environ, self.console.print_line)

    def report_result(self, fields: Mapping[str, Any], exit_code: int = 0) -> None:
        """Report the command's result, and the exit code that follows from it.

        Args:
            fields: of the result, beside `command`, `ok` and, where it is not 0, `exit_code`.
            exit_code: of the process once the body has ended.
        """
        self.exit_code = exit_code
        code = {"exit_code": exit_code} if exit_code else {}
        self.console.print_result({"command": self.name, "ok": not exit_code, **code, **fields})


@contextmanager
def open_command(
    name: str,
    as_json: bool,
    log_format: LogFormat = LogFormat.TEXT,
    extras: Sequence[str] = (),
) -> Iterator[Command]:
    """Run a command's body; end the process where the body fails or its result says so.

    Args:
        name: as it is typed after `headrace`, for example `lake flights`.
        as_json: print the result as one line of JSON on standard output.
        log_format: how progress is written.
        extras: of the package, without which the body is not begun.

    Raises:
        typer.Exit: an extra is not installed, the body failed, or it reported a result with an exit
            code other than 0.
    """
    command = Command(name, Console(as_json, log_format, get_output_settings()))
    with command.console.open(), report_failures(command.console, name):
        command.console.open_log()
        require_extras(extras)
        yield command
    if command.exit_code:
        raise typer.Exit(command.exit_code)


def run_job(command: Callable[..., Any]) -> None:
    """Run a command as a script of its own, with the same options as under `headrace`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(context_settings=CONTEXT_SETTINGS)(add_output_options(command))
    run_guarded(app)


def run_guarded(app: typer.Typer) -> None:
    """Run a command line as this process's work: nothing that it starts or writes outlives it."""
    collect_rarely()
    try:
        with guard_command(), guard_output():
            app()
    finally:
        freeze_objects()
