"""Assemble the `headrace` command; what each command does is left to `commands/`."""

from typing import Annotated

import typer

import headrace
from headrace import commands

app = typer.Typer(
    name="headrace",
    help="From a data lake to a trained, registered model: Spark prepares, Petastorm streams, "
    "Horovod trains, MLflow tracks.\n\n"
    "Exit codes: 0 done, 1 a failed run, 2 a bad recipe or bad options, 3 a gate that failed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(commands.init)
app.command()(commands.check)
app.command()(commands.doctor)
app.command()(commands.prepare)
app.command()(commands.train)
app.command()(commands.tune)
app.command()(commands.evaluate)
app.command()(commands.promote)
app.command()(commands.rollback)
app.command()(commands.score)
app.command()(commands.run)
app.command()(commands.inspect)
app.command()(commands.diff)
app.command()(commands.restore)
app.command()(commands.optimize)
app.command()(commands.erase)
app.command()(commands.vacuum)
app.command()(commands.vacuum_checkpoints)
app.command()(commands.install_horovod)
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
