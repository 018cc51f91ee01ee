"""What differs from the defaults is the whole recipe again, and few parameters."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.recipe import Recipe, load_recipe
from headrace.recipe.changed import dump_changed, format_recipe, list_parameters
from headrace.recipe.load import load_recipe_text
from headrace.tracking.params import choose_params
from tests.e2e.running import ROOT
from tests.tiny import tiny_recipe, tiny_tree

RECIPES = sorted(str(path) for path in (ROOT / "conf").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES)
def test_it_is_read_as_the_same_recipe(path: str, tmp_path: Path) -> None:
    recipe = load_recipe(path, workdir=str(tmp_path), environment={})
    assert Recipe.model_validate(dump_changed(recipe)) == recipe
    again = load_recipe_text(format_recipe(recipe), "again", environment={})
    assert again == recipe


# Keys with values that differ from their defaults in every way that a key can: by number, kind of
# section, a section that is there, one that is not, and a list of sections.
CHANGES: dict[str, list[Any]] = {
    "train.optimizer": [{"kind": "sgd"}, {"learning_rate": 0.5}, {}],
    "train.schedule": [
        {"kind": "fixed"}, {"kind": "cosine", "final": 0.5}, {"kind": "step", "epochs": [1]}
    ],
    "train.early_stopping": [None, {}, {"patience": 3}, {"metric": "roc_auc"}],
    "train.ranks": [1, "auto", 2],
    "evaluate.threshold": [0.5, 0.25, {"choose": "max_f1"}],
    "evaluate.gates": [[], [{"kind": "metric", "metric": "roc_auc", "at_least": 0.5}]],
    "stream.memory": [None, 2**21],
    "spark.conf": [{}, {"spark.a": "1"}],
    "tracking.system_metrics": [True, False],
}  # fmt: skip


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in CHANGES.items()}))
def test_whatever_is_changed_comes_back(changes: dict[str, Any]) -> None:
    tree = tiny_tree()
    for key, value in changes.items():
        section, name = key.split(".")
        tree.setdefault(section, {})[name] = value
    recipe = load_recipe_text(json.dumps(tree), "r", environment={"HOME": "/"}, workdir="w")
    assert Recipe.model_validate(dump_changed(recipe)) == recipe


def test_a_default_is_left_out_and_what_has_none_is_not(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, "train.optimizer={kind: adam, learning_rate: 0.001}")
    changed = dump_changed(recipe)
    assert "optimizer" not in changed["train"]
    assert changed["model"]["kind"] == "mlp"
    assert changed["name"] == "tiny"


def test_columns_are_listed_by_kind_and_a_schedule_is_no_parameter(tmp_path: Path) -> None:
    flights = load_recipe(str(ROOT / "conf/flights.yaml"), workdir="w", environment={})
    parameters = list_parameters(flights)
    assert parameters["features"]["hash"] == "tailnum (buckets 1024)"
    assert "origin, dest (min_count 10), manufacturer" in parameters["features"]["vocabulary"]
    assert "schedule" not in parameters
    flat, left_out = choose_params(parameters)
    assert len(flat) <= 60
    assert not left_out
    assert len(choose_params(flights.dump_resolved())[0]) > 300  # what there would be


def test_what_a_search_tries_is_a_parameter_also_where_it_is_the_default(tmp_path: Path) -> None:
    key = "train.optimizer.learning_rate"
    recipe = tiny_recipe(
        tmp_path, f"tune.parameters={{{key}: {{low: 0.001, high: 0.1}}}}", f"{key}=0.001"
    )
    assert dict(choose_params(list_parameters(recipe))[0])[key] == 0.001


def test_a_secret_is_masked(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, 'spark.conf={"fs.s3a.secret.key": hunter22}')
    assert "hunter22" not in format_recipe(recipe)
