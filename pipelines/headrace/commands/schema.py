"""Print or write the JSON Schema of recipes: the command schema."""

from pathlib import Path
from typing import Annotated

import typer

from headrace.commands.first_checks import check_out
from headrace.commands.frame import open_command
from headrace.commands.options import Json
from headrace.errors import OptionError

Out = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write it to this file, instead of standard output."),
]


def schema(out: Out = None, json_: Json = False) -> None:
    """Print the JSON Schema of recipes, by which editors complete, explain and check them.

    `headrace init` writes it beside the recipe, as recipe.schema.json, and names it in the first
    line, where YAML support of editors looks for it. After an update of Headrace write it again.

    Example: headrace schema --out recipe.schema.json
    """
    with open_command("schema", json_) as command:
        from headrace.recipe.json_schema import build_json_schema, format_json_schema

        if out is None:
            if not json_:
                command.console.print_document(format_json_schema())
            command.report_result({"schema": build_json_schema()})
            return
        write_schema(Path(out))
        command.console.print_summary([f"wrote {out}"])
        command.report_result({"path": out})


def write_schema(target: Path) -> None:
    """Write the schema to a file, in place of one of an older Headrace.

    Raises:
        OptionError: the file is something else, or cannot be written.
    """
    from headrace.recipe.json_schema import format_json_schema, is_own_schema

    if target.exists() and not is_own_schema(target):
        raise OptionError(f"{target} already exists and is no schema of Headrace; choose another")
    check_out(str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".aside")
    temporary.write_text(format_json_schema(), encoding="utf-8")
    temporary.rename(target)
