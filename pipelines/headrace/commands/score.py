"""The score command: raw rows in, predictions in the lake out."""

import os
from typing import Annotated, Any

import typer

from headrace.commands.console import Console, LogFormat
from headrace.commands.exit_codes import guarded
from headrace.commands.observers import observers_of
from headrace.commands.options import GivenId, Json, Log, RecipePath, Set, Workdir, recipe_of
from headrace.commands.promote import ModelUri
from headrace.redaction import redact_text
from headrace.tracking.store import Store

Input = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="TABLE",
        help="Raw rows, read as the recipe reads its main table, and joined with its other tables: "
        "a folder, a URL, or a name in Spark's catalog.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", metavar="TABLE", help="Folder or URL of the predictions' table."),
]
FullScore = Annotated[
    bool,
    typer.Option("--full", help="Score every source partition, whether it was scored or not."),
]


def score(
    recipe: RecipePath,
    input_: Input,
    output: Output,
    model: ModelUri = None,
    workdir: Workdir = "var",
    set_: Set = None,
    full: FullScore = False,
    build_id: GivenId = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Score raw rows with the champion: predictions back into the lake, as versions of a table.

    Runs on Spark. Source partitions that are new or changed since they were scored are read; rows
    that break the column contract or a rule are kept aside with the reason. Every row read is
    accounted for, or nothing is published.

    Example: headrace score conf/flights.yaml --input var/lake/flights/flights --output var/scores
    """
    console = Console(json_, log_format)
    with guarded(console, "score"):
        from headrace.score.run import score as score_stage
        from headrace.spark_session import stop_own_session

        loaded = recipe_of(recipe, workdir, set_)
        console.observers = observers_of(loaded, os.environ, console.line)
        with console.stage("score") as report:
            try:
                done = score_stage(
                    loaded,
                    table=input_,
                    output=output,
                    workdir=workdir,
                    report=report,
                    model_uri=model,
                    full=full,
                    given_id=build_id,
                )
            finally:
                stop_own_session()
            report.result = result = {
                "source": redact_text(input_),
                **_json(done),
                "tracking_uri": Store.of(loaded, workdir, os.environ).shown,
            }
        if not done.published:
            console.line(f"score: {done.why}; version {done.version} stays the newest")
        console.summary(_lines(done))
        console.result({"command": "score", "ok": True, **result})


def _json(done: Any) -> dict[str, Any]:
    record = done.record
    return {
        "predictions": {
            "path": done.root,
            "version": done.version,
            "build_id": record.build_id,
        },
        "model_uri": record.model,
        "run_id": record.run_id,
        "dataset": record.dataset,
        "published": done.published,
        "why": done.why,
        "processed": record.processed.model_dump(),
        "ledger": record.ledger.model_dump(),
        "drifted": [d.name for d in record.drift if d.drifted],
        "rules_left_out": list(record.rules_left_out),
        "quarantine": done.quarantine,
        "seconds": {"score": done.seconds},
    }


def _lines(done: Any) -> list[str]:
    """What was scored, for people."""
    lines = []
    for title, ledger in (
        ("Rows of this job", done.record.processed if done.published else None),
        ("Rows with predictions", done.record.ledger),
    ):
        if ledger is None:
            continue
        rows = [("rows read", ledger.read), ("  scored", ledger.scored)]
        rows += [(f"  quarantined, {check}", n) for check, n in ledger.quarantined.items()]
        rows.append(("  filtered", ledger.filtered))
        lines += [title, *(f"  {name:<28}{n:>12,}" for name, n in rows)]
    drifted = [d.name for d in done.record.drift if d.drifted]
    if done.record.drift:
        lines.append(f"Drifted  {', '.join(drifted) or 'nothing'}, of {len(done.record.drift)}")
    if done.record.rules_left_out:
        lines.append(f"Not applied: {', '.join(done.record.rules_left_out)}")
    lines.append(f"Scores   {done.root}, version {done.version}, by {done.record.model}")
    if done.quarantine:
        lines.append(f"Rejected {done.quarantine}")
    return lines
