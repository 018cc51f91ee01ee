"""Check the tables of a recipe without Spark: are they there, do they have its columns and SQL?"""

from headrace.commands.check.remark import Kind, Remark
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.source.first_look import TableLook, find_mistakes, look_at_tables


def check_tables(recipe: Recipe, *, remote: bool) -> list[Remark]:
    """Check tables, columns and SQL.

    Args:
        recipe: the recipe.
        remote: whether remote stores are asked.
    """
    looks = look_at_tables(recipe, remote=remote)
    remarks = [_describe_look(recipe, name, look) for name, look in looks.items()]
    mistakes = find_mistakes(recipe, looks)
    remarks += [Remark.from_problem(Kind.RECIPE, problem) for problem in mistakes.missing]
    remarks += [Remark.from_problem(Kind.SUSPECTED, problem) for problem in mistakes.suspicions]
    return remarks


def _describe_look(recipe: Recipe, name: str, look: TableLook) -> Remark:
    table = recipe.source.tables[name]
    key = f"source.tables.{name}.path" if table.path else f"source.tables.{name}.table"
    line = recipe.get_line(key)
    if look.error:
        return Remark(Kind.MISSING, key, redact_text(look.error), line=line)
    if look.unseen:
        return Remark(Kind.UNCHECKED, key, look.unseen, line=line)
    assert look.names is not None
    text = f"{look.files:,} files, {len(look.names):,} columns"
    return Remark(Kind.OK, key, text, line=line)
