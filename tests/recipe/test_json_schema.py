"""The JSON Schema of recipes says what the reader of recipes accepts, and no more of its keys."""

import ast
import contextlib
import copy
import functools
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from headrace.errors import RecipeError
from headrace.recipe import Recipe, build_recipe
from headrace.recipe.describe import list_sections
from headrace.recipe.json_schema import build_json_schema, build_modeline, is_own_schema
from headrace.recipe.parse import parse_yaml
from headrace.recipe_section import Section
from tests.tiny import tiny_tree

ROOT = Path(__file__).parents[2]
SECTIONS = list_sections(Recipe)
ANY_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 64, 0.0, 0.5, 0.99, 1.0, -0.5, 1e-7, 1e12, "", "a", "A b",
    "null", "auto", "none", "2026-11-24", "2026-11-24T00:00:00", "12:30", "date(MMM d yyyy)", "UTC",
    "string", "timestamp(seconds)", "host:2", "max_f1", "balanced", "-90 days", "1.50", [], ["a"],
    ["a", "b"], ["a", "b", "c"], [1, 2], [0.5], [""], [None], {}, {"a": 1}, {"a": "b"}, {"a b": 1},
    {"choose": "max_f1"}, {"choose": "precision", "at_least": 0.9}, {"low": 1, "high": 2},
    {"kind": "mlp"},
    {"train": 0.8, "validation": 0.1, "test": 0.1},
]  # fmt: skip


@functools.cache
def get_schema() -> dict[str, Any]:
    return build_json_schema()


@functools.cache
def build_validator(name: str = "") -> jsonschema.Draft7Validator:
    """A validator of whole recipes, or of one of their sections."""
    schema = get_schema()
    if name:
        part = {"$ref": f"#/definitions/{name}", "definitions": schema["definitions"]}
        return jsonschema.Draft7Validator(part)
    return jsonschema.Draft7Validator(schema)


def find_faults(tree: Any, name: str = "") -> list[str]:
    return [
        f"{error.json_path}: {error.message}" for error in build_validator(name).iter_errors(tree)
    ]


def is_read(tree: Any, section: type[Section]) -> bool:
    """Whether the reader takes plain values for a section."""
    try:
        section.model_validate(tree)
    except ValidationError:
        return False
    return True


def list_literals(annotation: Any) -> Iterator[Any]:
    for argument in typing.get_args(annotation):
        if typing.get_origin(annotation) is typing.Literal:
            yield argument
        else:
            yield from list_literals(argument)


@st.composite
def section_values(draw: st.DrawFn) -> tuple[type[Section], dict[str, Any]]:
    """A section, and values for some of its keys, right and wrong ones."""
    section = draw(st.sampled_from(SECTIONS))
    tree = {}
    for name, field in section.model_fields.items():
        if not (field.is_required() or draw(st.integers(0, 3)) == 0):
            continue
        values = [*ANY_VALUES, *list_literals(field.annotation)]
        if not field.is_required():
            values.append(
                TypeAdapter(Any).dump_python(
                    field.get_default(call_default_factory=True), mode="json"
                )
            )
        tree[name] = draw(st.sampled_from(values))
    return section, tree


def test_it_is_a_schema_of_draft_7() -> None:
    jsonschema.Draft7Validator.check_schema(get_schema())


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda path: path.name)
def test_recipes_that_come_with_headrace_fit(path: Path) -> None:
    assert find_faults(parse_yaml(path.read_text())) == []


def list_test_recipes() -> list[tuple[str, dict[str, Any]]]:
    """The recipes that are written out in the tests."""
    recipes = []
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            keys = {key.value for key in getattr(node, "keys", ()) if isinstance(key, ast.Constant)}
            if isinstance(node, ast.Dict) and {"source", "label", "features"} <= keys:
                with contextlib.suppress(ValueError):  # it has variables
                    name = f"{file.relative_to(ROOT)}:{node.lineno}"
                    recipes.append((name, ast.literal_eval(node)))
    return recipes


def test_recipes_of_the_tests_fit_where_the_reader_accepts_them() -> None:
    accepted = []
    for name, tree in list_test_recipes():
        try:
            build_recipe(copy.deepcopy(tree), source=name, environment={})
        except RecipeError:
            continue
        accepted.append(name)
        assert find_faults(tree) == [], name
    assert len(accepted) >= 3, accepted
    assert any(name.startswith("tests/tiny.py") for name in accepted)


@given(section_values())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_the_reader_accepts_the_schema_accepts(
    drawn: tuple[type[Section], dict[str, Any]],
) -> None:
    section, tree = drawn
    fields = section.model_fields
    if any(_is_other_one(value, fields[name].annotation) for name, value in tree.items()):
        return
    if section is not Recipe and is_read(tree, section):
        assert find_faults(tree, section.__name__) == []


@pytest.mark.parametrize(
    "section", [s for s in SECTIONS if s is not Recipe], ids=lambda s: s.__name__
)
def test_every_value_by_itself(section: type[Section]) -> None:
    """Of each key each value, where the reader accepts one, the others being as they have to be."""
    required = {n: f for n, f in section.model_fields.items() if f.is_required()}
    base = next(filter(lambda tree: is_read(tree, section), _list_bases(required)), None)
    assert base is not None, "a base of accepted values"
    accepted = refused = 0
    for name, field in section.model_fields.items():
        for value in [*ANY_VALUES, *list_literals(field.annotation)]:
            tree = {**base, name: value}
            if is_read(tree, section):
                accepted += 1
                if not _is_other_one(value, field.annotation):
                    assert find_faults(tree, section.__name__) == [], tree
            elif not refused:
                refused += bool(find_faults(tree, section.__name__))
    assert accepted
    assert refused


def _is_other_one(value: Any, annotation: Any) -> bool:
    """Whether a value is a number of a list only in Python's eyes, as True is 1."""
    same = [literal for literal in list_literals(annotation) if literal == value]
    return bool(same) and type(value) not in map(type, same)


def _list_bases(required: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Values for the keys that a section must have; they do not depend on each other."""
    tree = {}
    for name, field in required.items():
        adapter: TypeAdapter[Any] = TypeAdapter(
            typing.Annotated[field.annotation, *field.metadata]
            if field.metadata
            else field.annotation
        )
        candidates = [
            *list_literals(field.annotation),
            *ANY_VALUES,
            *_list_nested(field.annotation),
        ]
        for value in candidates:
            try:
                adapter.validate_python(value, strict=not _is_lax(field))
            except ValidationError:
                continue
            tree[name] = value
            break
    yield tree


def _is_lax(field: Any) -> bool:
    return any(getattr(item, "strict", None) is False for item in field.metadata)


def _list_nested(annotation: Any) -> Iterator[Any]:
    """Values of sections that a key has, filled in from the tiny recipe."""
    tree = tiny_tree()
    yield from (tree[name] for name in ("source", "label", "split", "features", "dataset", "model"))
    yield tree["source"]["tables"]
    yield {"a": {"kind": "standardize"}}
    yield {"features": ["a"]}


@pytest.mark.parametrize(
    "section", [s for s in SECTIONS if s is not Recipe], ids=lambda s: s.__name__
)
def test_unknown_keys_are_refused_in_every_section(section: type[Section]) -> None:
    definition = get_schema()["definitions"][section.__name__]
    assert definition["additionalProperties"] is False
    assert set(definition["properties"]) == set(section.model_fields)
    assert set(definition.get("required", ())) == {
        name for name, field in section.model_fields.items() if field.is_required()
    }


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("train", "epoch"), 3, "$.train: Additional properties are not allowed ('epoch'"),
        (("trian",), {}, "$: Additional properties are not allowed ('trian' was unexpected)"),
        (("features", "amount", "kind"), "standardise", "$.features.amount.kind: 'standardise'"),
        (("features", "amount", "clipp"), 3, "$.features.amount: Additional properties"),
        (("features", "a b"), {"kind": "hash", "buckets": 9}, "$.features: 'a b' does not match"),
        (("model", "kind"), "mpl", "$.model.kind: 'mpl' is not valid"),
        (("train", "epochs"), "many", "$.train.epochs: 'many' is not valid"),
        (("train", "epochs"), 0, "$.train.epochs: 0 is not valid"),
        (("label", "kind"), "binry", "$.label.kind: 'binry' is not valid"),
    ],
)  # fmt: skip
def test_mistakes_are_found_where_they_are(path: tuple[str, ...], value: Any, fault: str) -> None:
    tree: Any = tiny_tree()
    assert find_faults(tree) == []
    node = tree
    for name in path[:-1]:
        node = node.setdefault(name, {})
    node[path[-1]] = value
    faults = find_faults(tree)
    assert any(text.startswith(fault) for text in faults), faults


@pytest.mark.parametrize("reference", ["${train.seed}", "${env:EPOCHS:-3}", "a-${workdir}"])
@pytest.mark.parametrize("key", ["train.epochs", "train.optimizer.kind", "name", "stream.shuffle"])
def test_references_may_stand_for_any_value(reference: str, key: str) -> None:
    tree: Any = tiny_tree()
    section, _, name = key.rpartition(".")
    node = tree
    for part in section.split(".") if section else []:
        node = node.setdefault(part, {})
    node[name] = reference
    assert find_faults(tree) == []


def test_recipes_with_references_are_accepted_before_they_are_resolved() -> None:
    tree: Any = tiny_tree()
    tree["train"]["seed"] = "${split.seed}"
    tree["split"]["seed"] = 7
    assert build_recipe(tree, source="r", environment={}).train.seed == 7
    assert find_faults(tree) == []


def test_keys_are_explained_and_defaults_are_said() -> None:
    definitions = get_schema()["definitions"]
    rows = definitions["Dataset"]["properties"]["rows_per_file"]
    assert rows["default"] == 65_536
    assert rows["description"].startswith("About how many; fewer where")
    assert definitions["Train"]["description"] == "The training of the model."
    assert not [name for name, node in definitions.items() if "description" not in node]


def test_what_is_published_is_what_the_code_has() -> None:
    published = (ROOT / "docs/recipe.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == get_schema()  # else: make docs
    assert is_own_schema(ROOT / "docs/recipe.schema.json")
    assert not is_own_schema(ROOT / "docs/stacks.json")


def test_recipes_that_come_with_headrace_name_it() -> None:
    for path in (ROOT / "conf").glob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first == build_modeline("../docs/recipe.schema.json")
