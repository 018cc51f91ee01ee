"""From a table's path to the text of a recipe that loads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.progress import Progress, Report
from headrace.propose.names import identifier, recipe_name
from headrace.propose.option_error import OptionError
from headrace.propose.proposal import Proposal, propose
from headrace.propose.sample import sample_table
from headrace.propose.text import recipe_text
from headrace.recipe import recipe_from_tree
from headrace.recipe.parse import parse_yaml


@dataclass(frozen=True)
class Draft:
    """A recipe that was not written yet.

    Attributes:
        name: of the recipe.
        text: YAML, with comments.
        proposal: what it says, and why.
    """

    name: str
    text: str
    proposal: Proposal


def draft_recipe(
    table: str,
    *,
    label: str | None,
    format_: str | None,
    name: str | None,
    out: str | None,
    workdir: str,
    report: Report,
) -> Draft:
    """Look at a table and write a recipe for it.

    Args:
        table: a folder, a file, a pattern, or a URL.
        label: the column that is predicted; None where it is to be chosen in the recipe.
        format_: of the files; None to go by their names.
        name: of the recipe; None for that of the table.
        out: the file that it is going to be; None for one named like the recipe.
        workdir: a table below it is named with `${workdir}`.
        report: told of progress.

    Raises:
        LakeError: there is no such table, it is empty, or there is nothing to learn from.
        OptionError: the label, the format or the name does not fit.
    """
    if "${" in table:
        raise OptionError(f"a recipe cannot name the path {table}: ${{ begins a variable in it")
    chosen = name or recipe_name(table)
    if identifier(chosen) != chosen:
        raise OptionError(f"--name {chosen}: letters, digits and _ only, and no digit first")
    report(Progress("looking at the table"))
    sample = sample_table(table, format_)
    report(Progress(f"looking at {sample.rows:,} rows of {len(sample.columns):,} columns"))
    proposal = propose(sample, label)
    text = recipe_text(proposal, name=chosen, out=out or f"{chosen}.yaml", workdir=workdir)
    _load(text, proposal)
    return Draft(chosen, text, proposal)


def _load(text: str, proposal: Proposal) -> None:
    """Raises `RecipeError` where the recipe does not load, with any label that it names."""
    tree: Mapping[str, Any] = parse_yaml(text)
    labels = [proposal.label] if proposal.label else proposal.choices
    for label in labels:
        with_label = {**tree, "label": label.section}
        recipe_from_tree(with_label, source="as proposed", environment={})
