"""Recipes and datasets that are refused before a rank is started."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import DatasetError, RecipeError, TrainError
from headrace.features.scaled import ScaledFeature
from headrace.labels.spec import LabelSpec
from headrace.recipe.sections import EarlyStopping, Mlp, Rnn, Train
from headrace.train.preflight import check_validation, load_trainable_spec
from headrace.transform.spec import TransformSpec
from tests.tiny import tiny_recipe

REGRESSION = TransformSpec(
    raw=(),
    derived=(),
    features=(ScaledFeature(name="x", column="x"),),
    label=LabelSpec(kind="regression"),
)


def dataset(spec: TransformSpec, text: str = "") -> Any:
    return SimpleNamespace(root="/data", version=3, transform_json=text or spec.to_json())


def recipe(metric: str, model: Any) -> Any:
    train = Train(early_stopping=EarlyStopping(metric=metric))
    return SimpleNamespace(name="tides", train=train, model=model)


def test_the_spec_is_that_of_the_dataset() -> None:
    spec = load_trainable_spec(recipe("mae", Mlp(kind="mlp")), dataset(REGRESSION))
    assert spec == REGRESSION


def test_every_misfit_is_named_by_its_recipe_key() -> None:
    with pytest.raises(RecipeError) as caught:
        load_trainable_spec(recipe("roc_auc", Rnn(kind="rnn")), dataset(REGRESSION))
    assert [p.where for p in caught.value.problems] == [
        "model.kind", "train.early_stopping.metric",
    ]  # fmt: skip
    text = str(caught.value)
    assert "recipe tides (with dataset /data version 3)" in text
    assert "roc_auc is not defined for a label of kind regression (use loss or mae)" in text


def test_a_foreign_transform_is_refused() -> None:
    mlp = recipe("loss", Mlp(kind="mlp"))
    foreign = REGRESSION.to_json().replace('"features"', '"characteristics"')
    with pytest.raises(DatasetError, match=r"of another Headrace.*prepare the dataset again"):
        load_trainable_spec(mlp, dataset(REGRESSION, text=foreign))
    newer = REGRESSION.to_json().replace('"format_version": 3', '"format_version": 4')
    with pytest.raises(DatasetError, match=r"/data version 3: transform\.json is of format 4"):
        load_trainable_spec(mlp, dataset(REGRESSION, text=newer))


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("train.early_stopping={patience: 2}", "train.early_stopping"),
        ("train.schedule={kind: plateau}", "train.schedule"),
        ("evaluate.threshold={choose: max_f1}", "evaluate.threshold"),
    ],
)
def test_settings_that_need_validation_rows_are_refused_without_them(
    tmp_path: Path, override: str, key: str
) -> None:
    empty: Any = SimpleNamespace(root="/data", version=3, count_rows=lambda split: 0)
    filled: Any = SimpleNamespace(count_rows=lambda split: {"validation": 1}[split])
    with pytest.raises(
        TrainError, match=rf"^{key} needs validation rows.*/data version 3 is empty"
    ):
        check_validation(tiny_recipe(tmp_path, override), empty)
    check_validation(tiny_recipe(tmp_path, override), filled)
    check_validation(tiny_recipe(tmp_path), empty)
