"""Draft a recipe for a table: sample it, propose, render the text, and check that it loads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.errors import OptionError
from headrace.progress import Progress, Report
from headrace.propose.names import derive_recipe_name, make_identifier
from headrace.propose.proposal import Proposal, propose_recipe
from headrace.propose.sample import sample_table
from headrace.propose.text import render_recipe
from headrace.recipe import build_recipe
from headrace.recipe.parse import parse_yaml


@dataclass(frozen=True)
class Draft:
    """A recipe that was not written to its file yet.

    Attributes:
        name: the recipe's name.
        text: the recipe's YAML, with comments.
        proposal: the decisions that the text states, with the reasons.
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
    """Sample a table and draft a recipe for it.

    Args:
        table: a folder, a file, a pattern, or a URL.
        label: the column to predict; None where it is to be chosen in the recipe.
        format_: the files' format; None to tell it by their names.
        name: the recipe's name; None to name it after the table.
        out: the file that the recipe will be written to; None for one named after the recipe.
        workdir: a table below it is named with `${workdir}`.
        report: called with progress.

    Raises:
        LakeError: there is no such table, it is empty, or there is nothing to learn from.
        OptionError: the label, the format or the name does not fit the table.
    """
    if "${" in table:
        raise OptionError(f"a recipe cannot name the path {table}: ${{ begins a variable in it")
    recipe_name = name or derive_recipe_name(table)
    if make_identifier(recipe_name) != recipe_name:
        raise OptionError(f"--name {recipe_name}: letters, digits and _ only, and no digit first")
    report(Progress("looking at the table"))
    sample = sample_table(table, format_)
    report(Progress(f"looking at {sample.rows:,} rows of {len(sample.columns):,} columns"))
    proposal = propose_recipe(sample, label)
    out = out or f"{recipe_name}.yaml"
    text = render_recipe(proposal, name=recipe_name, out=out, workdir=workdir)
    _check_loading(text, proposal)
    return Draft(recipe_name, text, proposal)


def _check_loading(text: str, proposal: Proposal) -> None:
    """Raise `RecipeError` where the recipe does not load with each label that it proposes."""
    tree: Mapping[str, Any] = parse_yaml(text)
    labels = [proposal.label] if proposal.label else proposal.choices
    for label in labels:
        with_label = {**tree, "label": label.section}
        build_recipe(with_label, source="as proposed", environment={})
