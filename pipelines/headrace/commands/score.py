"""Score raw rows with a registered model: the command score."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands.console import LogFormat
from headrace.commands.first_checks import check_first, check_writable
from headrace.commands.frame import open_command
from headrace.commands.options import (
    BuildId,
    Json,
    Log,
    ModelUri,
    RecipePath,
    Set,
    Workdir,
)
from headrace.redaction import redact_text
from headrace.tracking.store import Store

if TYPE_CHECKING:
    from headrace.score.run import Scored

Input = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="TABLE",
        help="Raw rows, read like the recipe's main table and joined with its other tables: a "
        "folder, a URL, or a name in Spark's catalog.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", metavar="TABLE", help="Folder or URL of the predictions table."),
]
FullScore = Annotated[
    bool,
    typer.Option("--full", help="Score every source partition, already scored or not."),
]


def score(
    recipe: RecipePath,
    input_: Input,
    output: Output,
    model: ModelUri = None,
    workdir: Workdir = "var",
    set_: Set = None,
    full: FullScore = False,
    build_id: BuildId = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Score raw rows with the champion, and write the predictions as a new version of a table.

    Runs on Spark, or without it on plain files of this machine. Only source partitions that are new
    or changed since they were scored are read; rows that break the column contract or a rule are
    quarantined with the reason. Every row read is accounted for, or nothing is published.

    Example: headrace score conf/flights.yaml --input var/lake/flights/flights --output var/scores
    """
    with open_command("score", json_, log_format, extras=["train"]) as command:
        from headrace.score.run import score as score_stage
        from headrace.spark_session import stop_own_session_afterwards

        loaded = command.open_recipe(recipe, workdir, set_)
        check_first(workdir, spark=loaded.spark)
        check_writable(output, "predictions (--output)")
        with command.console.track_stage("score") as report:
            with stop_own_session_afterwards():
                scored = score_stage(
                    loaded,
                    table=input_,
                    output=output,
                    workdir=workdir,
                    report=report,
                    model_uri=model,
                    full=full,
                    idempotency_id=build_id,
                )
            report.result = result = {
                "source": redact_text(input_),
                **_build_score_result(scored),
                "tracking_uri": Store.from_recipe(loaded, workdir, os.environ).redacted_uri,
            }
        if not scored.published:
            command.console.print_line(
                f"score: {scored.why}; version {scored.version} stays the newest"
            )
        command.console.print_summary(_format_score(scored))
        command.report_result(result)


def _build_score_result(scored: "Scored") -> dict[str, Any]:
    record = scored.record
    return {
        "predictions": {
            "path": scored.root,
            "version": scored.version,
            "build_id": record.build_id,
        },
        "model_uri": record.model,
        "run_id": record.run_id,
        "dataset": record.dataset,
        "published": scored.published,
        "why": scored.why,
        "processed": record.processed_ledger.model_dump(),
        "ledger": record.ledger.model_dump(),
        "drifted": [d.name for d in record.drift if d.has_drifted],
        "rules_left_out": list(record.rules_left_out),
        "quarantine": scored.quarantine,
        "seconds": {"score": scored.seconds},
    }


def _format_score(scored: "Scored") -> list[str]:
    """Return the lines of a scoring job's result, to be printed."""
    lines = []
    for title, ledger in (
        ("Rows of this job", scored.record.processed_ledger if scored.published else None),
        ("Rows with predictions", scored.record.ledger),
    ):
        if ledger is None:
            continue
        counts = [("rows read", ledger.read), ("  scored", ledger.scored)]
        counts += [(f"  quarantined, {check}", rows) for check, rows in ledger.quarantined.items()]
        counts.append(("  filtered", ledger.filtered))
        lines += [title, *(f"  {name:<28}{rows:>12,}" for name, rows in counts)]
    drifted = [d.name for d in scored.record.drift if d.has_drifted]
    if scored.record.drift:
        lines.append(f"Drifted  {', '.join(drifted) or 'nothing'}, of {len(scored.record.drift)}")
    if scored.record.rules_left_out:
        lines.append(f"Not applied: {', '.join(scored.record.rules_left_out)}")
    lines.append(f"Scores   {scored.root}, version {scored.version}, by {scored.record.model}")
    if scored.quarantine:
        lines.append(f"Rejected {scored.quarantine}")
    return lines
