"""Write a first recipe for a table, and print or report what was proposed: the command init."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands.first_checks import check_out
from headrace.commands.frame import open_command
from headrace.commands.next_commands import format_next
from headrace.commands.options import Json, Workdir
from headrace.commands.schema import write_schema
from headrace.errors import OptionError
from headrace.redaction import redact_text

if TYPE_CHECKING:
    from headrace.propose import Draft

TablePath = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="Folder, file, pattern or URL of Parquet, CSV or JSON files; folders such as "
        "`month=1` become columns.",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column to predict. Without it the recipe lists likely columns, and you choose one "
        "there.",
    ),
]
Out = Annotated[
    str | None, typer.Option(metavar="FILE", help="File for the recipe; by default NAME.yaml.")
]
Name = Annotated[
    str | None,
    typer.Option(
        help="Name of the dataset, the experiment and the model; by default the table's name."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="parquet|csv|json",
        help="Format of the files, if their names do not tell.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing recipe.")]


_MAX_NAMED = 5  # suspicious columns
_WIDTH = 15  # of the first column of the printed proposal


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

    Samples at most 100,000 rows from all over the table. The recipe runs as it is; columns that
    are the label once more are listed in it as `unavailable`, and what may leak the label is named.

    Example: headrace init var/lake/flights/flights --label arr_delay
    """
    with open_command("init", json_) as command:
        from headrace.propose import draft_recipe
        from headrace.recipe.json_schema import build_modeline

        if out and Path(out).exists() and not force:
            raise OptionError(f"{out} already exists; choose another --out, or use --force")
        if out:
            check_out(out)
        with command.console.track_stage("init") as report:
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
            raise OptionError(f"{target} already exists; choose another --out, or use --force")
        check_out(str(target))
        schema_file = _write_schema_beside(target)
        modeline = f"{build_modeline(schema_file.name)}\n" if schema_file else ""
        _write_recipe(target, modeline + draft.text)
        next_commands = _list_next_commands(draft, str(target), table, workdir)
        for line in [
            *_format_draft(draft, str(target)),
            _describe_schema(target, schema_file),
        ]:
            command.console.print_line(line)
        command.console.print_commands(format_next(next_commands))
        schema_path = str(schema_file) if schema_file else None
        described = _describe_draft(draft, str(target), next_commands)
        command.report_result({**described, "schema": schema_path})


def _write_recipe(target: Path, text: str) -> None:
    """Write a recipe to a temporary file and rename it, so that it is complete or absent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".aside")
    temporary.touch(mode=0o600)  # the table's address may have a password
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(target)


def _write_schema_beside(target: Path) -> Path | None:
    """Write the JSON Schema beside a recipe, for editors, and return its file.

    In the same folder, because editors differ in what they take a longer relative path from. None
    where a file of another kind has the name.
    """
    from headrace.recipe.json_schema import SCHEMA_FILE

    file = target.with_name(SCHEMA_FILE)
    try:
        write_schema(file)
    except OptionError:
        return None
    return file


def _describe_schema(target: Path, schema_file: Path | None) -> str:
    """Return the line that says by what editors check the recipe."""
    if schema_file:
        return f"{'Schema':<{_WIDTH}}{schema_file}, by which editors complete and check it"
    from headrace.recipe.json_schema import SCHEMA_FILE

    other = target.with_name(SCHEMA_FILE)
    return f"{'Schema':<{_WIDTH}}not written: {other} is another file (see headrace schema --out)"


def _list_next_commands(draft: "Draft", target: str, table: str, workdir: str) -> list[str]:
    """Return the commands to continue with."""
    from headrace.propose.text import build_run_command

    run = build_run_command(target, workdir)
    if draft.proposal.label:
        return [run]
    candidate = draft.proposal.choices[0].column
    words = [table, "--label", candidate, "--out", target]
    init = f"headrace init {shlex.join(words)}"
    return [f"choose the label in {target}, or: {init} --force", run]


def _format_draft(draft: "Draft", target: str) -> list[str]:
    """Return the lines that say what was proposed, and why."""
    proposal = draft.proposal
    sample, label = proposal.sample, proposal.label
    about = "" if sample.is_counted else "about "
    rows = f"{about}{sample.table_rows:,} rows, {sample.rows:,} sampled"
    files = f"{sample.opened_files:,} of {sample.total_files:,} files"
    lines = [f"{'Table':<{_WIDTH}}{redact_text(sample.path)}: {rows}, in {files}"]
    if label:
        lines.append(f"{'Label':<{_WIDTH}}{label.expression}: {label.kind}; {label.reasons[0]}")
        lines += [f"{'':<{_WIDTH}}{reason}" for reason in label.reasons[1:]]
    else:
        candidates = ", ".join(candidate.column for candidate in proposal.choices)
        lines.append(f"{'Label':<{_WIDTH}}to be chosen; likely: {candidates}")
    lines.append(f"{'Split':<{_WIDTH}}{proposal.split.reasons[0]}")
    features = [feature.name for role in proposal.roles for feature in role.features]
    lines.append(f"{'Features':<{_WIDTH}}{len(features)}: {', '.join(features)}")
    left_out = [role.column for role in proposal.roles if not role.features]
    left_out += list(sample.unusable)
    if left_out:
        lines.append(f"{'Left out':<{_WIDTH}}{', '.join(left_out)}")
    for number, (column, reason) in enumerate(proposal.unavailable.items()):
        lines.append(f"{'Known too late' if not number else '':<{_WIDTH}}{column}: {reason}")
    if proposal.suspicious:
        names = list(proposal.suspicious)
        more = f", and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        listed = ", ".join(names[:_MAX_NAMED]) + more
        lines.append(f"{'Suspicious':<{_WIDTH}}{listed}: see the recipe, above `features`")
    return [*lines, f"{'Recipe':<{_WIDTH}}{target}"]


def _describe_draft(draft: "Draft", target: str, next_commands: list[str]) -> dict[str, Any]:
    """Return what was proposed as a JSON object."""
    proposal = draft.proposal
    sample, label = proposal.sample, proposal.label
    return {
        "recipe": target,
        "name": draft.name,
        "table": {
            "path": redact_text(sample.path),
            "format": sample.format,
            "rows": sample.table_rows,
            "counted": sample.is_counted,
            "sampled_rows": sample.rows,
            "files": sample.total_files,
            "opened_files": sample.opened_files,
        },
        "label": label.section if label else None,
        "candidates": [candidate.column for candidate in proposal.choices],
        "split": dict(proposal.split.section),
        "features": [feature.name for role in proposal.roles for feature in role.features],
        "left_out": {
            role.column: role.exclusion_reason for role in proposal.roles if not role.features
        }
        | dict(sample.unusable),
        "unavailable": dict(proposal.unavailable),
        "suspicious": dict(proposal.suspicious),
        "next": next_commands,
    }
