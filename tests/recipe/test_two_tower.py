"""Recipes of two towers: a tower for every feature, and keys that a training by pairs lacks."""

from typing import Any

import pytest

from headrace.errors import RecipeError
from headrace.recipe import Recipe, build_recipe
from tests.tiny import tiny_tree

QUERY, ITEM = ["amount", "size"], ["shop", "hour", "note"]


def build(query: list[str] = QUERY, item: list[str] = ITEM, **sections: Any) -> Recipe:
    tree = tiny_tree()
    towers = {"query": {"features": query}, "item": {"features": item}}
    tree["model"] = {"kind": "two_tower", **towers}
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    return build_recipe(tree, source="test", overrides=(), environment={"HOME": "/h"})


def find_problems(*towers: list[str], **sections: Any) -> dict[str, str]:
    with pytest.raises(RecipeError) as caught:
        build(*towers, **sections)
    return {p.where: f"{p.message} ({p.fix})" for p in caught.value.problems}


def test_every_feature_is_in_one_tower() -> None:
    assert build().model.kind == "two_tower"
    problems = find_problems(["amount", "size", "hours"], ["shop", "amount"])
    assert problems == {
        "model.query.features": "there is no feature 'hours' (did you mean hour?)",
        "model.item.features": "amount is among the query's features, too (a feature is in one "
        "tower)",
        "model": "hour, note is among neither the query's features nor the item's (add it to "
        "model.query.features or model.item.features, or remove it under features)",
    }


def test_a_tower_without_features_is_refused() -> None:
    (problem,) = find_problems([], [*QUERY, *ITEM])
    assert problem == "model.query.features"


def test_what_a_training_by_pairs_does_not_have_is_refused() -> None:
    train = {"loss": {"kind": "focal"}, "label_smoothing": 0.1, "augment": {"noise": 0.1}}
    problems = find_problems(train=train)
    assert problems.keys() == {"train.loss", "train.label_smoothing", "train.augment"}
    assert "trained by a softmax over the items of a batch" in problems["train.loss"]
    problems = find_problems(label={"expression": "amount", "kind": "regression"})
    assert "two_tower learns pairs by a condition" in problems["label.kind"]


def test_default_gates_are_by_probabilities_and_refused() -> None:
    problems = find_problems(evaluate={"gates": None})
    assert list(problems) == ["evaluate.gates"]
    assert "or [] for none" in problems["evaluate.gates"]
    build(evaluate={"gates": [{"kind": "metric", "metric": "roc_auc", "at_least": 0.6}]})
