"""Look after the checkpoints of trainings: the command vacuum-checkpoints."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.commands.frame import open_command
from headrace.commands.options import Json

if TYPE_CHECKING:
    from headrace.train.checkpoint_vacuum import CheckpointVacuum

_SHOWN_ITEMS = 5


def vacuum_checkpoints(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="train.checkpoint.path; by default WORKDIR/checkpoints."
        ),
    ],
    finished_after_hours: Annotated[
        float,
        typer.Option(min=0, help="Hours that those of a training stay that ended with a model."),
    ] = 0,
    unfinished_after_hours: Annotated[
        float,
        typer.Option(min=0, help="Hours that those of a training stay that nobody has continued."),
    ] = 720,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove the files; without it they are only listed.")
    ] = False,
    json_: Json = False,
) -> None:
    """List, and with --yes remove, checkpoints of finished trainings and of abandoned ones.

    A training that is under way is left alone, as are files that Headrace did not write.

    Example: headrace vacuum-checkpoints var/checkpoints --unfinished-after-hours 168 --yes
    """
    with open_command("vacuum-checkpoints", json_) as command:
        from headrace.train.checkpoint_vacuum import vacuum_checkpoints as vacuum

        result = vacuum(
            path,
            keep_finished=timedelta(hours=finished_after_hours),
            keep_unfinished=timedelta(hours=unfinished_after_hours),
            now=datetime.now(UTC),
            dry_run=not yes,
        )
        for line in _format_result(result, yes):
            command.console.print_line(line)
        command.report_result(
            {
                "removed": yes,
                "finished": result.finished,
                "abandoned": result.abandoned,
                "running": result.running,
                "foreign": result.foreign,
                "files": result.files,
                "bytes": result.bytes,
            }
        )


def _format_result(result: "CheckpointVacuum", removed: bool) -> list[str]:
    outcome = "removed" if removed else "would be removed (--yes does it)"
    lines = [f"{result.files:,} files, {result.bytes:,} bytes {outcome}"]
    for text, names in (
        ("finished trainings", result.finished),
        ("abandoned trainings", result.abandoned),
        ("under way, left alone", result.running),
        ("not Headrace's, left alone", result.foreign),
    ):
        if names:
            more = f" and {len(names) - _SHOWN_ITEMS} more" if len(names) > _SHOWN_ITEMS else ""
            lines.append(f"  {text}: {', '.join(names[:_SHOWN_ITEMS])}{more}")
    return lines
