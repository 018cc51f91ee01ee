"""Losses in recipes: which fits which label, and what else of a recipe depends on them."""

from typing import Any

import pytest
import yaml

from headrace.errors import RecipeError
from headrace.labels.kinds import KINDS
from headrace.labels.losses.kinds import LOSSES, OWN_LOSSES
from headrace.recipe import Recipe, build_recipe
from headrace.train.settings_check import collect_settings
from tests.tiny import tiny_tree

REQUIRED = {
    "huber": {"delta": 1.0},
    "quantile": {"level": 0.9},
    "python": {"function": "tests.train.own_losses:asymmetric"},
}
FITS = {
    "binary": ("cross_entropy", "focal", "python"),
    "classes": ("cross_entropy", "focal", "python"),
    "multi_label": ("cross_entropy", "focal", "python"),
    "regression": ("squared_error", "absolute_error", "huber", "quantile", "python"),
    "count": ("squared_error", "absolute_error", "huber", "quantile", "poisson", "python"),
}
NAMES = [loss.model_fields["kind"].annotation.__args__[0] for loss in LOSSES]


def build(label_kind: str, loss: Any, **sections: Any) -> Recipe:
    tree = tiny_tree()
    expression = {"multi_label": "array(note)", "classes": "note"}.get(label_kind, "late")
    tree["label"] = {"expression": expression, "kind": label_kind}
    tree["features"].pop("note", None)
    train = {} if loss is None else {"loss": loss}
    tree["train"] = {**{k: v for k, v in tree["train"].items() if k != "early_stopping"}, **train}
    tree.pop("evaluate", None)
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    return build_recipe(tree, source="test", overrides=(), environment={"HOME": "/h"})


def find_problems(label_kind: str, loss: Any, **sections: Any) -> dict[str, str]:
    with pytest.raises(RecipeError) as caught:
        build(label_kind, loss, **sections)
    return {p.where: f"{p.message} ({p.fix})" for p in caught.value.problems}


@pytest.mark.parametrize("label_kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_each_label_has_its_losses_and_no_others(label_kind: str, name: str) -> None:
    loss = {"kind": name, **REQUIRED.get(name, {})}
    if name in FITS[label_kind]:
        assert build(label_kind, loss).train.loss.kind == name
        return
    problems = find_problems(label_kind, loss)
    assert list(problems) == ["train.loss.kind"]
    assert f"{name} does not fit a label of kind {label_kind}" in problems["train.loss.kind"]
    for fitting in FITS[label_kind]:
        assert fitting in problems["train.loss.kind"]


def test_poisson_says_which_label_it_is_for() -> None:
    problems = find_problems("regression", {"kind": "poisson"})
    assert "label.kind: count" in problems["train.loss.kind"]


@pytest.mark.parametrize(
    ("loss", "where", "message"),
    [
        ({"kind": "huber"}, "train.loss.delta", "required key is missing"),
        ({"kind": "huber", "delta": 0}, "train.loss.delta", "greater than 0"),
        ({"kind": "quantile", "level": 1.0}, "train.loss.level", "less than 1"),
        ({"kind": "quantile", "level": 90}, "train.loss.level", "less than 1"),
        ({"kind": "quantil", "level": 0.9}, "train.loss.kind", "did you mean quantile?"),
        ({"kind": "quantile", "level": 0.9, "alpha": 1}, "train.loss.alpha", "unknown key"),
        ({"kind": "python", "function": "mine"}, "train.loss.function", "got 'mine'"),
        ("huber", "train.loss", "got 'huber'"),
    ],
)
def test_keys_of_losses_are_checked(loss: Any, where: str, message: str) -> None:
    problems = find_problems("regression", loss)
    assert message in problems[where]


def test_an_alpha_is_not_for_classes_and_smoothing_not_for_every_loss() -> None:
    problems = find_problems("classes", {"kind": "focal", "alpha": 0.25})
    assert "label.class_weight" in problems["train.loss.alpha"]
    own = {"kind": "python", **REQUIRED["python"]}
    problems = find_problems("binary", own, train={"label_smoothing": 0.1, "loss": own})
    assert list(problems) == ["train.label_smoothing"]
    focal = {"kind": "focal"}
    assert build("binary", focal, train={"label_smoothing": 0.1, "loss": focal})


@pytest.mark.parametrize(
    ("loss", "metric", "is_there"),
    [
        (None, "mae", True),
        (None, "pinball_loss", False),
        ({"kind": "quantile", "level": 0.9}, "pinball_loss", True),
        ({"kind": "quantile", "level": 0.9}, "d2_pinball", True),
        ({"kind": "quantile", "level": 0.9}, "r2", False),
        ({"kind": "quantile", "level": 0.9}, "mae", False),
        ({"kind": "quantile", "level": 0.5}, "mae", True),
        ({"kind": "huber", "delta": 2.0}, "huber_loss", True),
        ({"kind": "huber", "delta": 2.0}, "r2", True),
        ({"kind": "absolute_error"}, "d2_absolute_error", True),
        ({"kind": "python", **REQUIRED["python"]}, "loss", True),
        ({"kind": "python", **REQUIRED["python"]}, "loss_over_baseline", True),
    ],
)
def test_gates_have_metrics_that_the_loss_makes_meaningful(
    loss: Any, metric: str, is_there: bool
) -> None:
    evaluate = {
        "metric": metric, "gates": [{"kind": "champion", "metric": metric, "not_worse_by": 0.1}],
    }  # fmt: skip
    if is_there:
        assert build("regression", loss, evaluate=evaluate).evaluate.metric == metric
        return
    problems = find_problems("regression", loss, evaluate=evaluate)
    assert list(problems) == ["evaluate.metric", "evaluate.gates.0.metric"]
    kind = f" with train.loss {loss['kind']}" if loss else ""
    assert (
        f"there is no metric '{metric}' for a label of kind regression{kind} ("
        in problems["evaluate.metric"]
    )


def test_what_follows_a_metric_follows_one_of_the_loss() -> None:
    loss = {"kind": "quantile", "level": 0.9}
    problems = find_problems(
        "regression",
        loss,
        train={"loss": loss, "early_stopping": {"metric": "mae"}},
        tune={"metric": "mae", "parameters": {"model.dropout": {"low": 0.0, "high": 0.5}}},
    )
    assert set(problems) == {"train.early_stopping.metric", "tune.metric"}
    assert "with train.loss quantile (use loss)" in problems["train.early_stopping.metric"]


def test_trials_are_not_compared_by_losses_that_differ() -> None:
    parameters = {"train.loss.gamma": {"low": 0.0, "high": 5.0}}
    problems = find_problems("binary", {"kind": "focal"}, tune={"parameters": parameters})
    assert "set tune.metric to roc_auc or accuracy" in problems["tune.parameters.train.loss.gamma"]
    build("binary", {"kind": "focal"}, tune={"parameters": parameters, "metric": "roc_auc"})


@pytest.mark.parametrize("label_kind", KINDS)
def test_the_loss_that_a_label_has_anyway_is_no_other_training(label_kind: str) -> None:
    """Ids of trainings, and settings of checkpoints, are what they were before there was the key.

    Hand-written here: `train` of a training of before has no key `loss`.
    """
    plain, named = (
        collect_settings(build(label_kind, loss))
        for loss in (None, {"kind": OWN_LOSSES[label_kind]})
    )
    assert plain == named
    assert "loss" not in plain["train"]
    assert yaml.safe_dump(plain) == yaml.safe_dump(named)
