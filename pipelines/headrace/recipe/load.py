"""Load a recipe: parse YAML, apply overrides, resolve references, validate and cross-check.

All problems of a recipe are collected and raised once.
"""

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from headrace.errors import Problem, RecipeError
from headrace.recipe.checks import find_impossible_combinations
from headrace.recipe.lines import KeyLines, find_event_lines
from headrace.recipe.overrides import apply_overrides
from headrace.recipe.parse import MAX_CHARACTERS, check_bounds, construct_events
from headrace.recipe.problems import translate_errors
from headrace.recipe.resolve import resolve_references
from headrace.recipe.sections import Recipe


def load_recipe(
    path: str,
    *,
    overrides: Sequence[str] = (),
    workdir: str = "var",
    environment: Mapping[str, str],
) -> Recipe:
    """Read, complete and check the recipe at `path`.

    Args:
        path: a YAML file.
        overrides: `key.path=value` strings, applied before variables are resolved.
        workdir: value of `${workdir}`.
        environment: what `${env:NAME}` reads, normally `os.environ`.

    Raises:
        RecipeError: with every problem found.
    """
    text = read_recipe(path)
    return load_recipe_text(
        text, path, overrides=overrides, workdir=workdir, environment=environment
    )


def read_recipe(path: str) -> str:
    """Read the text of the recipe at `path`.

    Raises:
        RecipeError: there is no such file, or it cannot be read.
    """
    try:
        return read_recipe_text(path)
    except FileNotFoundError:
        near = sorted(str(p) for p in Path(path).parent.glob("*.y*ml"))
        fix = f"recipes here: {', '.join(near)}" if near else "check the path"
        raise RecipeError(path, [Problem("recipe", "no such file", fix)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(path, [Problem("recipe", f"cannot be read: {error}")]) from None


def load_recipe_text(
    text: str,
    path: str,
    *,
    overrides: Sequence[str] = (),
    workdir: str = "var",
    environment: Mapping[str, str],
) -> Recipe:
    """Complete and check a recipe's text; `path` names it in errors. See `load_recipe`."""
    try:
        events = check_bounds(text)
        tree = construct_events(events)
    except yaml.YAMLError as error:
        raise RecipeError(path, [_translate_yaml_error(error)]) from None
    if not isinstance(tree, dict):
        raise RecipeError(path, [Problem("recipe", "not a mapping of keys", "see conf/")])
    lines = KeyLines(find_event_lines(events)).with_overrides(overrides)
    recipe = build_recipe(
        tree,
        source=path,
        overrides=overrides,
        workdir=workdir,
        environment=environment,
        lines=lines,
    )
    return recipe.with_lines(lines, str(Path(path).absolute().parent))


def read_recipe_text(path: str) -> str:
    """Read a recipe's file, which is a file: a pipe or a device could last for ever.

    Raises:
        OSError: it is none, or cannot be read.
        UnicodeDecodeError: it is no UTF-8.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError("it is not a file")
    with Path(path).open("rb") as file:
        content = file.read(4 * MAX_CHARACTERS + 1)
    if len(content) > 4 * MAX_CHARACTERS:
        raise OSError(f"it is larger than {4 * MAX_CHARACTERS:,} bytes")
    return content.decode()


def build_recipe(
    tree: dict[str, Any],
    *,
    source: str,
    overrides: Sequence[str] = (),
    workdir: str = "var",
    environment: Mapping[str, str],
    lines: KeyLines | None = None,
) -> Recipe:
    """Build a recipe from plain YAML types, as `load_recipe` does; `source` and `lines` say in
    errors where it was read."""
    problems = apply_overrides(tree, overrides)
    resolved, unresolved = resolve_references(tree, {"workdir": workdir}, environment)
    problems += unresolved
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(resolved)
    except ValidationError as error:
        problems += translate_errors(error, Recipe)
    except RecursionError:
        problems.append(Problem("recipe", "nested too deeply"))
    problems += find_impossible_combinations(_validate_sections(resolved))
    if problems or recipe is None:
        raise RecipeError(source, (lines or KeyLines()).locate(problems))
    return recipe


def _validate_sections(tree: dict[str, Any]) -> dict[str, Any]:
    valid: dict[str, Any] = {}
    for name, field in Recipe.model_fields.items():
        if name not in tree:
            if not field.is_required():
                valid[name] = field.get_default(call_default_factory=True)
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(field.annotation)  # type: ignore[arg-type]
        try:
            valid[name] = adapter.validate_python(tree[name], strict=True)
        except ValidationError:
            if name in ("derive", "features") and isinstance(tree[name], dict):
                valid[name] = _validate_entries(adapter, tree[name])
    return valid


def _validate_entries(adapter: TypeAdapter[Any], section: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of a named collection that are right by themselves."""
    entries: dict[str, Any] = {}
    for key, value in section.items():
        try:
            entries |= adapter.validate_python({key: value}, strict=True)
        except ValidationError:
            continue
    return entries


def _translate_yaml_error(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    text = f"not valid YAML: {getattr(error, 'problem', None) or error}"
    if mark is None:
        return Problem("recipe", text)
    return Problem("recipe", f"{text}, column {mark.column + 1}", line=mark.line + 1)
