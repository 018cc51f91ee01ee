"""Read the pages with the scripts that write them, and their recipe lines with the real reader."""

import copy
import os
from typing import Any

from headrace.recipe import Recipe, build_recipe
from headrace.recipe.parse import parse_yaml
from tests.scripts.loading import load_script

page_blocks = load_script("page_blocks")
recipe_examples = load_script("recipe_examples")

BASES = {"": "conf/flights.yaml", "a log of clicks": "clicks"}
"""Title of a block of YAML -> the recipe that its lines change; others name it themselves."""
RUN_ELSEWHERE = {"docs/outlives.md": "tests/install/test_outlives.py"}
"""Pages whose Python another test runs, on artifacts of its own."""


def list_blocks(*languages: str) -> list[Any]:
    """Return the blocks of all pages in some languages."""
    return [
        block
        for page in page_blocks.list_pages()
        for block in page_blocks.read_blocks(page)
        if block.language in languages
    ]


def name_block(block: Any) -> str:
    """Return where a block is, for the name of a test."""
    return f"{block.page}:{block.line}"


def complete_recipe(block: Any) -> dict[str, Any]:
    """Return the recipe that lines of a page make of the one that they change.

    A key of a section replaces the recipe's; a section of another kind replaces all of it.
    """
    lines = parse_yaml(block.text)
    if {"name", "source", "features"} <= set(lines):
        return dict(lines)
    base = BASES.get(block.title, block.title)
    tree: dict[str, Any] = copy.deepcopy(recipe_examples.load_base_recipes()[base])
    for section, value in lines.items():
        old = tree.get(section)
        merges = isinstance(old, dict) and isinstance(value, dict) and section != "split"
        if merges and section == "model":
            merges = value.get("kind") == old.get("kind")
        tree[section] = old | value if merges else value
    return tree


def read_recipe(block: Any) -> Recipe:
    """Return the recipe of `complete_recipe`, read as `headrace` reads it."""
    tree = complete_recipe(block)
    return build_recipe(tree, source=name_block(block), environment=os.environ)
