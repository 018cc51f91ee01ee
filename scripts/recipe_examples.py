"""Find an example of every key in recipes that the recipe's own reader accepts.

The recipes are those of conf/ and `recipe_examples.yaml`, with its changes of them. Each is read as
`headrace` reads it; a key's example is what stands at it in one of them, as it was written.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from headrace.recipe import build_recipe
from headrace.recipe.parse import parse_yaml
from headrace.recipe_section import Section

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "scripts/recipe_examples.yaml"
Example = tuple[Any, type[Section], str]


def find_examples() -> dict[tuple[type[Section], str], str]:
    """Return section and key -> the shortest example of another value than the default, as YAML.

    Raises:
        RecipeError: a recipe of the examples is refused.
    """
    chosen: dict[tuple[type[Section], str], str] = {}
    ranks: dict[tuple[type[Section], str], tuple[bool, int]] = {}
    for name, tree in list_recipes():
        recipe = build_recipe(copy.deepcopy(tree), source=name, environment={})
        for value, section, key in _walk(recipe, tree):
            text = format_example(key, value)
            rank = (value == section.model_fields[key].default, len(text))
            if (section, key) not in chosen or rank < ranks[section, key]:
                chosen[section, key], ranks[section, key] = text, rank
    return chosen


def list_recipes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every recipe as plain YAML types, with what names it in an error."""
    recipes = load_base_recipes()
    yield from recipes.items()
    for number, change in enumerate(_read(EXAMPLES)["changes"], start=1):
        tree = copy.deepcopy(recipes[change["recipe"]])
        for where, value in change["set"].items():
            *path, last = where.split(".")
            section = tree
            for key in path:
                section = section.setdefault(key, {})
            section[last] = value
        yield f"{EXAMPLES.name}, change {number} of {change['recipe']}", tree


def load_base_recipes() -> dict[str, dict[str, Any]]:
    """Return the recipes of conf/ by their paths, and those of the examples by their names."""
    paths = sorted(ROOT.glob("conf/*.yaml"))
    recipes = {path.relative_to(ROOT).as_posix(): _read(path) for path in paths}
    return recipes | _read(EXAMPLES)["recipes"]


def format_example(key: str, value: Any) -> str:
    """Return `key: value` as YAML on one line."""
    text = yaml.dump(
        {key: value}, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=10**6,
        allow_unicode=True,
    )  # fmt: skip
    line = text.strip()[1:-1]
    if parse_yaml("{" + line + "}") != {key: value}:
        raise ValueError(f"{line!r} is not read as what was written: {value!r}")
    return line


def _read(path: Path) -> Any:
    return parse_yaml(path.read_text(encoding="utf-8"))


def _walk(section: Section, tree: dict[str, Any]) -> Iterator[Example]:
    """Yield each key of a section that a recipe has, and those of the sections below it."""
    for key, written in tree.items():
        yield written, type(section), key
        yield from _walk_value(getattr(section, key), written)


def _walk_value(value: Any, written: Any) -> Iterator[Example]:
    if isinstance(value, Section):
        yield from _walk(value, written)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk_value(item, written[key])
    elif isinstance(value, list | tuple):
        for item, below in zip(value, written, strict=True):
            yield from _walk_value(item, below)


class _Dumper(yaml.SafeDumper):
    """Writes YAML as recipes have it: texts plain where they can be, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = parse_yaml(f"[{text}]") == [text] if _is_plain(text) else False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _is_plain(text: str) -> bool:
    """Return whether a text needs no quotes within braces."""
    special = set("{}[],&*#?|<>=!%@`'\"\n")
    return bool(text) and not special & set(text) and ": " not in text and not text.startswith("-")


def _represent_float(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    text = f"{number:g}" if float(f"{number:g}") == number else repr(number)
    mantissa, mark, exponent = text.partition("e")
    if "." not in mantissa and "n" not in text:  # YAML takes 1e-06 for a text
        text = f"{mantissa}.0{mark}{exponent}"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_float)
