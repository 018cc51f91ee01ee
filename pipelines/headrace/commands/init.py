"""`headrace init`: a first recipe for a table that nobody has written one for."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands.console import Console
from headrace.commands.exit_codes import guarded
from headrace.commands.options import Json, Workdir
from headrace.redaction import redact_text

if TYPE_CHECKING:
    from headrace.propose import Draft

TablePath = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="Folder, file, pattern or URL of Parquet, CSV or JSON files; folders such as "
        "`month=1` are columns.",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="What is to be predicted. Without it the recipe lists likely columns, and one of them "
        "is to be chosen there.",
    ),
]
Out = Annotated[str | None, typer.Option(metavar="FILE", help="The recipe; by default NAME.yaml.")]
Name = Annotated[
    str | None,
    typer.Option(help="Names the dataset, the experiment and the model; by default the table's."),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="parquet|csv|json",
        help="Of the files, where their names don't tell it.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a recipe that is there.")]


def init(
    table: TablePath,
    label: LabelColumn = None,
    out: Out = None,
    name: Name = None,
    format_: Format = None,
    force: Force = False,
    workdir: Workdir = "var",
    json_: Json = False,
) -> None:
    """Write a first recipe for a table: types, cleaning, split, features, with the reasons.

    Looks at 100,000 rows at most, from all over the table. The recipe runs as it is; columns that
    probably give the label away are named in it as `unavailable`.

    Example: headrace init var/lake/flights/flights --label arr_delay
    """
    console = Console(json_)
    with guarded(console, "init"):
        from headrace.propose import draft_recipe
        from headrace.propose.option_error import OptionError

        if out and Path(out).exists() and not force:
            raise OptionError(f"{out} is there already; choose another --out, or --force")
        with console.stage("init") as report:
            draft = draft_recipe(
                table,
                label=label,
                format_=format_,
                name=name,
                out=out,
                workdir=workdir,
                report=report,
            )
        target = Path(out or f"{draft.name}.yaml")
        if target.exists() and not force:
            raise OptionError(f"{target} is there already; choose another --out, or --force")
        _write(target, draft.text)
        following = _following(draft, str(target), table, workdir)
        for line in [*_lines(draft, str(target)), "Next", *(f"  {x}" for x in following)]:
            console.line(line)
        console.result(_json(draft, str(target), following))


def _write(target: Path, text: str) -> None:
    """Whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(target.name + ".aside")
    aside.write_text(text, encoding="utf-8")
    aside.rename(target)


def _following(draft: "Draft", target: str, table: str, workdir: str) -> list[str]:
    """Commands to go on with."""
    from headrace.propose.text import run_command

    run = run_command(target, workdir)
    if draft.proposal.label:
        return [run]
    choice = draft.proposal.choices[0].column
    words = [table, "--label", choice, "--out", target]
    init = f"headrace init {shlex.join(words)}"
    return [f"choose the label in {target}, or: {init} --force", run]


def _lines(draft: "Draft", target: str) -> list[str]:
    """What was found, for people."""
    proposal = draft.proposal
    sample, label = proposal.sample, proposal.label
    about = "" if sample.counted else "about "
    rows = f"{about}{sample.table_rows:,} rows, {sample.rows:,} looked at"
    files = f"{sample.files:,} of {sample.all_files:,} files"
    lines = [f"Table    {redact_text(sample.path)}: {rows}, in {files}"]
    if label:
        lines.append(f"Label    {label.expression}: {label.kind}; {label.why[0]}")
        lines += [f"         {why}" for why in label.why[1:]]
    else:
        named = ", ".join(choice.column for choice in proposal.choices)
        lines.append(f"Label    to be chosen; likely: {named}")
    lines.append(f"Split    {proposal.split.why[0]}")
    made = [line.name for role in proposal.roles for line in role.features]
    lines.append(f"Features {len(made)}: {', '.join(made)}")
    left = [role.column for role in proposal.roles if not role.features]
    left += list(sample.unusable)
    if left:
        lines.append(f"Left out {', '.join(left)}")
    for number, (column, why) in enumerate(proposal.unavailable.items()):
        lines.append(f"{'Too late' if not number else '':<9}{column}: {why}")
    return [*lines, f"Recipe   {target}"]


def _json(draft: "Draft", target: str, following: list[str]) -> dict[str, Any]:
    proposal = draft.proposal
    sample, label = proposal.sample, proposal.label
    return {
        "command": "init",
        "ok": True,
        "recipe": target,
        "name": draft.name,
        "table": {
            "path": redact_text(sample.path),
            "format": sample.format,
            "rows": sample.table_rows,
            "counted": sample.counted,
            "sampled_rows": sample.rows,
            "files": sample.all_files,
            "opened_files": sample.files,
        },
        "label": label.section if label else None,
        "candidates": [choice.column for choice in proposal.choices],
        "split": dict(proposal.split.section),
        "features": [line.name for role in proposal.roles for line in role.features],
        "left_out": {r.column: r.left_out for r in proposal.roles if not r.features}
        | dict(sample.unusable),
        "unavailable": dict(proposal.unavailable),
        "next": following,
    }
