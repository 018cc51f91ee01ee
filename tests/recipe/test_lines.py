"""Every problem of a recipe is on the line of its key, or of the section that lacks it."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import Problem, RecipeError
from headrace.recipe import load_recipe
from headrace.recipe.lines import KeyLines, find_lines
from headrace.recipe.load import load_recipe_text
from headrace.recipe.parse import dump_yaml, parse_yaml

CONF = Path(__file__).parents[2] / "conf"
FLIGHTS = (CONF / "flights.yaml").read_text()
KEYS = st.text("abcxyz", min_size=1, max_size=3)
TREES = st.recursive(
    st.integers() | st.text("ab \n:#-", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


def list_paths(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in entries:
        yield (*path, str(key))
        if isinstance(value, dict | list):
            yield from list_paths(value, (*path, str(key)))


def find_problems(text: str, *overrides: str) -> dict[str, Problem]:
    with pytest.raises(RecipeError) as caught:
        load_recipe_text(text, "r.yaml", overrides=overrides, environment={})
    return {problem.where: problem for problem in caught.value.problems}


def test_the_lines_of_keys_and_items() -> None:
    text = (
        "clean:\n"
        "  rules:\n"
        "    - {kind: in, column: a,\n"
        "       values: [00501,\n"
        "                no]}\n"
        "    - kind: range\n"
        "      min: 3\n"
        "name: x\n"
    )
    assert find_lines(text) == {
        "clean": 1, "clean.rules": 2, "clean.rules.0": 3, "clean.rules.0.kind": 3,
        "clean.rules.0.column": 3, "clean.rules.0.values": 4, "clean.rules.0.values.0": 4,
        "clean.rules.0.values.1": 5, "clean.rules.1": 6, "clean.rules.1.kind": 6,
        "clean.rules.1.min": 7, "name": 8,
    }  # fmt: skip
    assert find_lines("") == {}


def test_what_is_merged_or_an_alias_is_where_it_is_written() -> None:
    text = (
        "a: &a\n"  # 1
        "  x: 1\n"
        "  y: 2\n"
        "b:\n"  # 4
        "  <<: *a\n"
        "  y: 3\n"
        "c: *a\n"  # 7
        "d:\n"
        "  - &n 1\n"
        "  - *n\n"  # 10
        "  - *a\n"
    )
    lines = find_lines(text)
    assert {key: lines[key] for key in ("b", "b.x", "b.y", "c", "c.y")} == {
        "b": 4, "b.x": 2, "b.y": 6, "c": 7, "c.y": 3,
    }  # fmt: skip
    assert {key: lines[key] for key in ("d.0", "d.1", "d.2", "d.2.x")} == {
        "d.0": 9, "d.1": 10, "d.2": 11, "d.2.x": 2,
    }  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_every_key_has_a_line_on_which_it_stands(tree: dict[str, Any]) -> None:
    text = dump_yaml(tree)
    lines, rows = find_lines(text), text.splitlines()
    paths = [*list_paths(parse_yaml(text) or {})]
    assert sorted(lines) == sorted(".".join(path) for path in paths)
    for path in paths:
        row = rows[lines[".".join(path)] - 1]
        assert row.lstrip("- ").startswith(f"{path[-1]}:") or path[-1].isdigit()


def test_a_key_is_looked_up_in_its_section_and_not_where_the_command_line_set_it() -> None:
    lines = KeyLines({"train": 4, "train.epochs": 5, "spark.conf.spark.ui.port": 9})
    assert lines.find_line("train.epoch") == 4
    assert lines.find_line("train.optimizer.kind") == 4
    assert lines.find_line("label.kind") is None
    changed = lines.with_overrides(["train.epochs=3", 'spark.conf."spark.ui.port"=1', "model={}"])
    assert changed.find_line("train.epochs") is None
    assert changed.find_line("train.epochs.0") is None
    values = KeyLines({"a": 1, "a.0": 1, "a.0.b": 2}, frozenset({"a"}))
    assert values.find_line("a.0.b") is None
    assert changed.find_line("train.ranks") == 4
    assert changed.find_line("spark.conf.spark.ui.port") is None
    assert changed.find_line("model.kind") is None


def list_keys() -> list[tuple[str, ...]]:
    """Return every key of the recipe flights that is a key, and no position in a list."""
    return [path for path in list_paths(parse_yaml(FLIGHTS)) if not path[-1].isdigit()]


def change_line(path: tuple[str, ...], new: str) -> tuple[str, int]:
    """Return the text with this key renamed where it stands, and its line."""
    line = find_lines(FLIGHTS)[".".join(path)]
    rows = FLIGHTS.splitlines()
    head, key, tail = rows[line - 1].rpartition(f"{path[-1]}:")
    if rows[line - 1].count(f"{path[-1]}:") > 1:
        pytest.skip("the line has the key twice")
    rows[line - 1] = f"{head}{new}{key.removeprefix(path[-1])}{tail}"
    return "\n".join(rows), line


@pytest.mark.long
@pytest.mark.parametrize("path", list_keys(), ids=".".join)
def test_a_misspelt_key_is_on_its_own_line(path: tuple[str, ...]) -> None:
    text, line = change_line(path, f"{path[-1]}_x")
    try:
        load_recipe_text(text, "r.yaml", environment={})
    except RecipeError as error:
        found = {problem.where: problem for problem in error.problems}
    else:  # names that are free: of features, columns, tables
        assert path[0] in ("derive", "features") or path[-2] == "columns"
        return
    where = ".".join((*path[:-1], f"{path[-1]}_x"))
    if where in found:
        assert found[where].line == line
    elif path[-1] in ("kind", "choose"):  # what its section is cannot be told without it
        section = ".".join(path[:-1])
        (problem,) = (p for w, p in found.items() if w.startswith(section))
        assert problem.line == find_lines(text)[section]
    else:  # a free name that something else refers to
        assert path[:2] == ("source", "tables") or path[0] in ("derive", "features")
    for problem in found.values():
        assert problem.line is not None or "." not in problem.where


@pytest.mark.long
@pytest.mark.parametrize("path", list_keys(), ids=".".join)
@pytest.mark.parametrize("change", ["remove", "type"])
def test_a_key_that_is_gone_or_of_another_type_is_on_its_line_or_its_sections(
    path: tuple[str, ...], change: str
) -> None:
    tree = copy.deepcopy(parse_yaml(FLIGHTS))
    parent = tree
    for part in path[:-1]:
        parent = parent[int(part)] if isinstance(parent, list) else parent[part]
    if change == "remove":
        del parent[path[-1]]
    else:
        parent[path[-1]] = {"of": ["another", "type"]}
    text = dump_yaml(tree)
    try:
        load_recipe_text(text, "r.yaml", environment={})
    except RecipeError as error:
        problems = error.problems
    else:
        assert change == "remove"  # has a default
        return
    lines = find_lines(text)
    where = ".".join(path)
    for problem in problems:
        section = problem.where
        while section and section not in lines:
            section = section.rpartition(".")[0]
        assert problem.line == lines.get(section)
    section = where.rpartition(".")[0] if path[-1] in ("kind", "choose") else where
    related = [p for p in problems if p.where.startswith(section) or where.startswith(p.where)]
    if change == "type":
        assert related
        assert all(p.line is not None for p in related)
        near = [p.line for p in related if p.where.startswith(where)]
        assert not near or lines[where] in near or any(n and n > lines[where] for n in near)


@pytest.mark.parametrize(
    ("written", "misspelt", "where"),
    [
        ("  epochs: 8", "  epoch: 8", "train.epoch"),
        ("key: [tailnum]", "keys: [tailnum]", "source.joins.1.keys"),
        ("activation: relu", "activation: rleu", "model.activation"),
        ("test: 0.1}", "test: 0.2}", "split.fractions"),
        ("buckets: 1024", "buckets: many", "features.tailnum.buckets"),
        ("at_least: 0.70", "at_last: 0.70", "evaluate.gates.0.at_last"),
    ],
)
def test_a_mistake_is_on_its_line(written: str, misspelt: str, where: str) -> None:
    text = FLIGHTS.replace(written, misspelt)
    (line,) = (n for n, row in enumerate(text.splitlines(), 1) if misspelt in row)
    assert find_problems(text)[where].line == line


def test_cross_checks_have_lines_and_overrides_have_none() -> None:
    text = FLIGHTS.replace("main: flights", "main: flihgts")
    line = text.splitlines().index("  main: flihgts") + 1
    assert str(find_problems(text)["source.main"]).startswith(
        f"line {line}: source.main: no table 'flihgts' (did you mean flights?)"
    )
    found = find_problems(FLIGHTS, "source.main=flihgts")
    assert found["source.main"].line is None
    assert str(found["source.main"]).startswith("source.main: no table")


def test_variables_that_are_not_set_have_lines() -> None:
    text = FLIGHTS.replace("expression: arr_delay > 15", 'expression: "${env:NOPE_AT_ALL}"')
    line = find_lines(text)["label.expression"]
    assert find_problems(text)["label.expression"].line == line


def test_text_that_is_no_yaml_has_a_line(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("name: x\nlabel: {expression: [}\n")
    with pytest.raises(RecipeError, match=r"- line 2: recipe: not valid YAML: .*, column 22"):
        load_recipe(str(file), environment={})


def test_an_item_that_is_nothing_is_on_its_own_line() -> None:
    text = FLIGHTS.replace(
        "unavailable: [", "unavailable:\n  - carrier\n  - # nothing\n  - x\nx: ["
    )
    line = text.splitlines().index("  - # nothing") + 1
    found = find_problems(text)
    assert (found["unavailable.1"].line, found["x"].line) == (line, line + 2)


@pytest.mark.parametrize("merge", ["<<: [*a, *b]", "<<: *a\n  <<: *b"])
def test_of_two_merges_the_first_one_is_read_and_named(merge: str) -> None:
    text = f"a: &a {{epochs: 1}}\nb: &b\n  epochs: 2\n  ranks: 3\nc:\n  {merge}\n"
    assert parse_yaml(text)["c"] == {"epochs": 1, "ranks": 3}
    assert (find_lines(text)["c.epochs"], find_lines(text)["c.ranks"]) == (1, 4)


def test_a_recipe_tells_the_lines_of_its_keys() -> None:
    recipe = load_recipe(str(CONF / "flights.yaml"), environment={})
    (problem,) = recipe.locate([Problem("train.epochs", "too many")])
    assert FLIGHTS.splitlines()[recipe.get_line("train.epochs") - 1] == "  epochs: 8"  # type: ignore[operator]
    assert str(problem) == f"line {recipe.get_line('train.epochs')}: train.epochs: too many"
