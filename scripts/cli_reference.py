"""Write docs/cli.md, the reference of all commands and options, from the command line itself.

    .venv/bin/python scripts/cli_reference.py > docs/cli.md

The text is the one that `--help` prints; it is written beside the options, in `commands/`.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from headrace.cli import app

_INTRODUCTION = """# Command line

Every command with its arguments and options, as `headrace COMMAND --help` prints them. This page is
generated: `scripts/cli_reference.py`.

`headrace` is `.venv/bin/headrace` in a checkout, or `uv run headrace`. The stages take `--workdir`
and `--set key.path=value` for any [key of the recipe](recipe.md). Problems of a recipe say the line
of their key: `line 12: train.epoch: unknown key, value 3 (did you mean epochs?)`.

With `--json` a command prints one JSON object with the result as the last line of standard output,
and everything else on standard error. `--log-format json` writes one JSON object per line;
`HEADRACE_METRICS_FOLDER` and `HEADRACE_METRICS_PUSH` export metrics to Prometheus,
`OPENLINEAGE_URL` sends OpenLineage events ([operations](operations.md#monitor)). On your cluster's
Spark, `spark-submit jobs/pipeline.py RECIPE` is `headrace run`; `jobs/` has a file for each stage.

| exit code | means |
|---|---|
| 0 | done |
| 1 | a failed run |
| 2 | a bad recipe or bad options |
| 3 | a gate that failed |
| 130 | interrupted |
| 143 | terminated (by SIGTERM, or SIGHUP of a terminal that was closed) |
"""


def main() -> None:
    """Print the page."""
    sys.stdout.write(write_reference())


def write_reference() -> str:
    """Return the page as Markdown."""
    commands = list(list_commands())
    rows = [
        f"| [`{name}`](#{_anchor(name)}) | {_summarize(command)} |" for name, command in commands
    ]
    parts = [_INTRODUCTION, "| command | |", "|---|---|", *rows, ""]
    for name, command in commands:
        parts += [f"## {name}", "", *_describe(name, command), ""]
    return "\n".join(parts).rstrip() + "\n"


def list_commands() -> Iterator[tuple[str, Any]]:
    """Yield the program, for its own options, and every command by its whole name."""
    program = get_command(app)
    yield "headrace", program
    yield from _list_below("headrace", program)


def _list_below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for below in command.commands.values():
        if not below.hidden:
            yield from _list_below(f"{name} {below.name}", below)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _summarize(command: Any) -> str:
    """Return the first sentence of the help text."""
    first = _flow(command.help or "").split("\n")[0]
    return escape_cell(re.split(r"(?<=\.) ", first)[0])


def _describe(name: str, command: Any) -> list[str]:
    context = command.context_class(command, info_name=name)
    pieces = [piece for item in command.params for piece in item.get_usage_pieces(context)]
    lines = [
        _flow(command.help or ""),
        "",
        "```text",
        " ".join([name, *pieces, "[OPTIONS]"]),
        "```",
    ]
    for kind in ("argument", "option"):
        records = [
            item.get_help_record(context)
            for item in command.params
            if item.param_type_name == kind and not getattr(item, "hidden", False)
        ]
        if any(records):
            lines += ["", f"| {kind} | |", "|---|---|", *map(_format_row, filter(None, records))]
    return lines


def _format_row(record: tuple[str, str]) -> str:
    """Return a row of what `--help` has of an option: its names with the value, and its text."""
    names, said = record
    return f"| `{escape_cell(names)}` | {escape_cell(_flow(said))} |"


def _flow(text: str) -> str:
    """Return paragraphs on a line each, without click's marks."""
    paragraphs = text.replace("\b", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()


def escape_cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n\n", "<br>").replace("\n", " ")


if __name__ == "__main__":
    main()
