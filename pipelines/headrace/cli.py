"""Assemble the `headrace` command; what each command does is left to `commands/`."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

import headrace
from headrace import commands

# One line each at 80 columns; the whole text is in the command's own help.
_COMMANDS: tuple[tuple[Callable[..., Any], str], ...] = (
    (commands.init, "Write a first recipe for a table, with the reasons."),
    (commands.check, "Check a recipe without running it, by line of the YAML."),
    (commands.schema, "Print the JSON Schema of recipes, for editors."),
    (commands.doctor, "Find what would fail later on this machine."),
    (commands.prepare, "Raw tables to a new dataset version."),
    (commands.train, "Dataset version to registered model version."),
    (commands.tune, "Search for better values of a recipe's keys."),
    (commands.evaluate, "Metrics, slices, plots, and a verdict on a model."),
    (commands.promote, "Make a model the champion, if it passed."),
    (commands.rollback, "Make the previous champion the champion again."),
    (commands.score, "Raw rows to the champion's predictions, as a table."),
    (commands.run, "Prepare, train and evaluate, one after the other."),
    (commands.inspect, "Versions, rows, statistics and lineage of a dataset."),
    (commands.diff, "What changed from one dataset version to another."),
    (commands.restore, "Publish an earlier dataset version as the newest."),
    (commands.optimize, "Merge the small files of a dataset."),
    (commands.erase, "Take a person's rows out of everything."),
    (commands.vacuum, "List or remove old dataset versions and dead builds."),
    (commands.vacuum_checkpoints, "List or remove checkpoints of finished trainings."),
    (commands.install_horovod, "Compile Horovod for this TensorFlow."),
)
app = typer.Typer(
    name="headrace",
    help="From a data lake to a trained, registered model: Spark prepares, Petastorm streams, "
    "Horovod trains, MLflow tracks.\n\n"
    "Exit codes: 0 done, 1 a failed run, 2 a bad recipe or bad options, 3 a gate that failed.",
    no_args_is_help=True,
    context_settings=commands.CONTEXT_SETTINGS,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _command, _short_help in _COMMANDS:
    app.command(short_help=_short_help)(commands.add_output_options(_command))
app.add_typer(commands.lake_app, name="lake")


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"headrace {headrace.__version__}")
        raise typer.Exit


@app.callback()
def _read_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the console script."""
    commands.run_guarded(app)


if __name__ == "__main__":
    main()
