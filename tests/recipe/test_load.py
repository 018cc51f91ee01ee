"""Recipes: what loads, what is refused, and that every problem is reported at once."""

from pathlib import Path

import pytest
import yaml

from headrace.errors import RecipeError
from headrace.recipe import build_recipe, load_recipe
from tests.tiny import tiny_tree

CONF = Path(__file__).parents[2] / "conf"


def problems(*overrides: str, tree: dict | None = None) -> dict[str, str]:
    with pytest.raises(RecipeError) as caught:
        build_recipe(
            tree or tiny_tree(), source="test", overrides=overrides, environment={"HOME": "/h"}
        )
    assert caught.value.exit_code == 2
    return {p.where: f"{p.message} ({p.fix})" for p in caught.value.problems}


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda p: p.name)
def test_recipes_in_conf_load(path: Path) -> None:
    recipe = load_recipe(str(path), workdir="w", environment={})
    assert recipe.name == path.stem
    assert recipe.dataset.path.startswith("w/")


def test_the_resolved_recipe_loads_again_to_the_same() -> None:
    recipe = load_recipe(str(CONF / "flights.yaml"), workdir="w", environment={})
    assert type(recipe).model_validate(recipe.dump_resolved()) == recipe


def test_overrides_reach_any_key_with_yaml_values() -> None:
    recipe = build_recipe(
        tiny_tree(),
        source="test",
        environment={},
        overrides=[
            "train.epochs=7",
            "model.hidden=[4, 2]",
            "clean.dedup=null",
            "source.joins.0.columns.size=size",
            'spark.conf."spark.ui.port"=4040',
        ],
    )
    assert recipe.train.epochs == 7
    assert recipe.model.hidden == [4, 2]
    assert recipe.clean.dedup is None
    assert recipe.spark.conf["spark.ui.port"] == 4040


def test_every_problem_is_reported_at_once_with_path_value_and_nearest_key() -> None:
    found = problems(
        "train.epoch=3",
        "model.dropout=1.5",
        "features.shop.kind=vocabulery",
        "features.amount.colum=x",
        "source.joins.0.tabel=shops",
        "train.seed=abc",
        "split.fractions.test=0.9",
        "nonsense=1",
        "train.epochs",
    )
    assert found["train.epoch"] == "unknown key, value 3 (did you mean epochs?)"
    assert found["model.dropout"].startswith("got 1.5, expected less than 1")
    assert found["features.shop.kind"] == "unknown kind 'vocabulery' (did you mean vocabulary?)"
    assert found["features.amount.colum"] == "unknown key, value 'x' (did you mean column?)"
    assert found["source.joins.0.tabel"] == "unknown key, value 'shops' (did you mean table?)"
    assert found["train.seed"].startswith("got 'abc', expected a valid integer")
    assert found["split.fractions"] == "they add up to 1.7 (must be 1)"
    assert found["nonsense"].startswith("unknown key, value 1 (known: clean")
    assert found["--set train.epochs"].startswith("not of the form key.path=value")
    assert len(found) == 9


@pytest.mark.parametrize(
    ("override", "where", "what"),
    [
        ("source.main=visit", "source.main", "did you mean visits?"),
        ("source.joins.0.table=shop", "source.joins.0.table", "did you mean shops?"),
        ("source.joins.0.table=visits", "source.joins.0.table", "'visits' is the main table"),
        ("train.ranks=3", "train.ranks", "3 ranks cannot share 8 canonical shards"),
        ("train.min_ranks=4", "train.ranks", "1 is not between train.min_ranks (4)"),
        (
            "train.launcher.kind=hosts",
            "train.launcher.hosts",
            "is empty, and train.launcher.kind is hosts",
        ),
        ("train.launcher.hosts=[a:2]", "train.launcher.hosts", "launcher auto ignores hosts"),
        ("tune.parameters={a: {low: 2, high: 1}}", "tune.parameters.a", "is not below high 1"),
        ("train.global_batch_size=100", "train.global_batch_size", "use a multiple of 8"),
        ("train.optimizer={momentum: 0.9}", "train.optimizer.momentum", "adam takes no momentum"),
        ("dataset.rows_per_row_group=201", "dataset.rows_per_row_group", "more than a file holds"),
        ("unavailable=[amount]", "features.amount", "not known at prediction"),
        ("unavailable=[clock]", "derive.hour.columns", "not known at prediction"),
        ("label.expression=amount > 50", "features.amount", "the label is computed from"),
        ("derive.hour.columns=[hour]", "derive.hour.columns", "itself derived"),
        (
            "label={expression: tags, kind: multi_label, class_weight: balanced}",
            "label.class_weight",
            "no class whose weight",
        ),
        (
            "label={expression: tags, kind: multi_label, standardize: true}",
            "label.standardize",
            "use kind: regression",
        ),
        (
            "train.early_stopping={metric: roc_auc_macro}",
            "train.early_stopping.metric",
            "not defined",
        ),
        ("evaluate.metric=hamming_loss", "evaluate.metric", "no metric 'hamming_loss' for a label"),
        (
            "derive.hour={kind: difference, columns: [day, clock]}",
            "features.hour.kind",
            "vocabulary does not take 'hour', a derived real number",
        ),
        (
            "features.label={kind: standardize, column: amount}",
            "features.label",
            "the name is taken",
        ),
    ],
)
def test_impossible_combinations(override: str, where: str, what: str) -> None:
    assert what in problems(override)[where]


@pytest.mark.parametrize(
    ("expression", "leaks"),
    [
        ("`amount` > 5", True),
        ("größe > 5 or amount > 1", True),
        ("status = 'amount'", False),
        ('status = "the amount" and visit > 3', False),
        ("amounts > 5", False),
    ],
)
def test_columns_of_the_label_are_found_and_texts_are_not(expression: str, leaks: bool) -> None:
    tree = tiny_tree()
    tree["label"]["expression"] = expression
    if leaks:
        assert "features.amount" in problems(tree=tree)
    else:
        build_recipe(tree, source="t", environment={})


def test_exponents_need_no_dot() -> None:
    recipe = build_recipe(
        tiny_tree(), source="t", environment={}, overrides=["train.optimizer.learning_rate=1e-3"]
    )
    assert recipe.train.optimizer.learning_rate == 0.001


def test_early_stopping_needs_a_validation_split() -> None:
    found = problems(
        "train.early_stopping={patience: 1}",
        "split.fractions={train: 0.9, validation: 0.0, test: 0.1}",
    )
    assert list(found) == ["train.early_stopping"]


def test_a_wrong_section_does_not_hide_problems_of_others() -> None:
    found = problems("features.shop=3", "unavailable=[amount]")
    assert set(found) == {"features.shop", "features.amount"}


def test_variables_resolve_from_environment_recipe_and_caller() -> None:
    tree = tiny_tree()
    tree["lake"] = "${env:HOME}/lake"
    tree["source"]["tables"]["visits"]["path"] = "${lake}/visits-${train.seed}"
    tree["dataset"]["path"] = "${workdir}/${env:NOPE:-fallback}"
    tree["train"]["seed"] = 4
    tree["split"]["seed"] = "${train.seed}"
    recipe = build_recipe(tree, source="t", workdir="w", environment={"HOME": "/h"})
    assert recipe.source.tables["visits"].path == "/h/lake/visits-4"
    assert recipe.dataset.path == "w/fallback"
    assert recipe.split.seed == 4


def test_unresolvable_variables_are_problems() -> None:
    tree = tiny_tree()
    tree["lake"] = "${name}${lake}"
    tree["tracking"] = {
        "uri": "${env:NOPE}",
        "experiment": "${nope}",
        "registered_model": "${train}",
    }
    found = problems(tree=tree)
    assert "circle: lake -> lake" in found["lake"]
    assert "environment variable NOPE is not set" in found["tracking.uri"]
    assert "names no key" in found["tracking.experiment"]
    assert "is a section" in found["tracking.registered_model"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "a: 1\na: 2\n",
            "line 2: recipe: not valid YAML: key 'a' is written twice, first in line 1",
        ),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n", "not a mapping"),
        ("", "not a mapping"),
        ("!!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="recipe") as caught:
        load_recipe(str(path), environment={})
    assert what in str(caught.value)


def test_a_missing_file_names_the_recipes_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "flights.yaml").write_text(yaml.safe_dump(tiny_tree()))
    with pytest.raises(RecipeError, match=r"no such file .*flights\.yaml"):
        load_recipe(str(tmp_path / "flihgts.yaml"), environment={})


@pytest.mark.parametrize("name", ["Amount", "SHOP", "Label", "ROW_ID"])
def test_names_that_differ_in_capital_letters_alone_are_one_name(name: str) -> None:
    """A Delta table would refuse them, at the end of all work."""
    tree = tiny_tree()
    tree["features"][name] = {"kind": "standardize", "column": "amount"}
    found = problems(tree=tree)[f"features.{name}"]
    assert "differ in capital letters alone" in found or "taken by a column of every" in found


def test_columns_to_keep_that_differ_in_capital_letters_alone() -> None:
    tree = tiny_tree()
    tree["dataset"]["keep"] = ["day", "Day"]
    assert "day and Day differ in capital letters alone" in problems(tree=tree)["dataset.keep"]
