"""Merge the small files of a dataset: the command optimize."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands.frame import open_command
from headrace.commands.options import Json
from headrace.errors import OptionError

if TYPE_CHECKING:
    from headrace.prepare.optimize import Optimized

_UNITS = {"d": "days", "h": "hours"}


def optimize(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's folder or URL.")],
    older_than: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Days or hours since a source partition was processed, for example 7d or 36h, "
            "after which its files are merged; a younger one keeps its own.",
        ),
    ] = "7d",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be merged; write nothing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Merge small files into larger ones, and publish the same rows in the same order again.

    Files of neighbouring source partitions are merged up to dataset.rows_per_file of the version's
    recipe; increments go on from there. Older versions keep their files until `headrace vacuum`.
    No Spark is needed. Where there is nothing to merge, no version is published.

    Example: headrace optimize var/datasets/flights --older-than 30d
    """
    with open_command("optimize", json_) as command:
        from headrace.commands.results import describe_dataset
        from headrace.prepare.optimize import optimize_dataset

        limit = _parse_time(older_than)
        with command.console.track_stage("optimize") as report:
            result = optimize_dataset(
                dataset, older_than=limit, now=datetime.now(UTC), dry_run=dry_run, report=report
            )
            report.result = {"version": result.dataset.version}
        for line in _format_result(result, older_than):
            command.console.print_line(line)
        command.report_result(
            {
                **describe_dataset(result.dataset),
                "published": result.published,
                **_describe_result(result),
            }
        )


def _parse_time(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([dh])", text.strip())
    if match is None:
        raise OptionError(
            f"--older-than {text!r}: expected days or hours, for example 7d, 36h or 0d"
        )
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def _describe_result(result: "Optimized") -> dict[str, Any]:
    """Return the numbers of a result as a JSON object."""
    return {
        "files": {"before": result.files, "now": result.files_now, "merged": result.merged},
        "rows": result.rows,
        "hot_partitions": result.hot,
    }


def _format_result(result: "Optimized", older_than: str) -> list[str]:
    """Return what was merged, would be, or why nothing is."""
    lines = []
    if not result.merged:
        lines.append(
            f"nothing to merge: {result.files:,} files, none of them small, cold, and beside "
            "another; no version was published"
        )
    else:
        done = (
            f"version {result.dataset.version} has" if result.published else "a version would have"
        )
        lines.append(
            f"{done} {result.files_now:,} data files instead of {result.files:,}: "
            f"{result.merged:,} small ones with {result.rows:,} rows are merged"
        )
    if result.hot:
        lines.append(
            f"  {result.hot:,} source partitions were processed in the last {older_than} and keep "
            "their files"
        )
    return lines
