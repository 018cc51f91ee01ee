"""SQL whose value is not the row's is refused with the recipe, whatever the rest of it is."""

import json
from pathlib import Path

import pytest

from headrace.errors import RecipeError
from headrace.recipe.expression_checks import _GENERATORS, _VOLATILE
from tests.tiny import tiny_recipe

KEYS = (
    "label.expression",
    "label.sample_weight",
    "source.tables.visits.where",
    "source.tables.shops.partitions",
)


def find_problems(tmp_path: Path, *changes: str) -> list[str]:
    try:
        tiny_recipe(tmp_path, *changes)
    except RecipeError as error:
        return [f"{problem.where}: {problem.message}" for problem in error.problems]
    return []


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("call", ["rand() > 0.5", "late and RAND (7) > 0.5", "`rand`() > 0.5"])
def test_a_value_of_chance_is_refused(key: str, call: str, tmp_path: Path) -> None:
    assert find_problems(tmp_path, f"{key}={json.dumps(call)}") == [
        f"{key}: calls rand(), which gives a row another value each time it is read"
    ]


@pytest.mark.parametrize("name", sorted(_VOLATILE | _GENERATORS))
def test_every_such_function_is_known(name: str, tmp_path: Path) -> None:
    (problem,) = find_problems(tmp_path, f"label.expression='length({name.upper()}(n)) > 1'")
    assert f"calls {name}()" in problem


def test_a_rule_with_chance_is_refused(tmp_path: Path) -> None:
    (problem,) = find_problems(tmp_path, 'clean.rules=[{kind: expr, expression: "uuid() > 0"}]')
    assert problem.startswith("clean.rules.0.expression: calls uuid()")


def test_a_baseline_of_chance_is_refused(tmp_path: Path) -> None:
    label = 'label={kind: regression, expression: size, baseline: "size + rand()"}'
    assert find_problems(tmp_path, label)[0].startswith("label.baseline: calls rand()")


@pytest.mark.parametrize(
    "text",
    [
        "rand > 0.5",  # a column
        "remark = 'rand()'",
        "remark = r'rand()'",
        "late -- rand()",
        "late /* row_number() over (order by n) */",
        "exists(xs, over -> over > 1)",
        "pmod(xxhash64(n), 10) = 0",
        "n * 2 > 3",
        "n is null or (n * (n - 1)) > 3",
    ],
)
def test_nothing_is_said_of_values_of_the_row(text: str, tmp_path: Path) -> None:
    assert find_problems(tmp_path, f"label.expression={json.dumps(text)}") == []


@pytest.mark.parametrize(
    "text", ["row_number() over (order by n) > 3", "lead(n) OVER(partition by a order by n) > n",
             "sum(n) over w > 1"],
)  # fmt: skip
@pytest.mark.parametrize("key", [KEYS[0], KEYS[2]])
def test_values_of_other_rows_are_refused_where_a_build_does_not_read_them(
    text: str, key: str, tmp_path: Path
) -> None:
    said = [f"{key}: reads other rows (OVER), and an increment reads only what changed"]
    assert find_problems(tmp_path, f"{key}={json.dumps(text)}") == said
    whole = find_problems(tmp_path, f"{key}={json.dumps(text)}", "increments.by=table")
    assert whole == ([] if key == "label.expression" else said)


@pytest.mark.parametrize("text", ["hash(*) > 1", "size(array(1, *)) > 2", "hash(visits.*) > 1"])
def test_a_label_of_all_columns_is_refused(text: str, tmp_path: Path) -> None:
    (problem,) = find_problems(tmp_path, f"label.expression={json.dumps(text)}")
    assert problem == "label.expression: reads all columns (*), those of the features as well"
