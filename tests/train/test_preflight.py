"""Recipes and datasets that are refused before a rank is started."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import DatasetError, RecipeError, StreamError, TrainError
from headrace.features.scaled import ScaledFeature
from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.recipe.sections import EarlyStopping, Mlp, Rnn, Train
from headrace.train.preflight import (
    check_slices,
    check_validation,
    choose_stream_shapes,
    load_trainable_spec,
)
from headrace.transform.spec import TransformSpec
from tests.tiny import tiny_recipe

REGRESSION = TransformSpec(
    raw=(),
    derived=(),
    features=(ScaledFeature(name="x", column="x"),),
    label=LabelSpec(kind="regression"),
)


def dataset(spec: TransformSpec, text: str = "") -> Any:
    transform = text or spec.to_json()
    return SimpleNamespace(root="/data", version=3, transform_json=transform, text_files=None)


def recipe(metric: str, model: Any) -> Any:
    train = Train(early_stopping=EarlyStopping(metric=metric))
    return SimpleNamespace(name="tides", train=train, model=model, locate=list)


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
    newer = REGRESSION.to_json().replace('"format_version": 4', '"format_version": 6')
    with pytest.raises(DatasetError, match=r"/data version 3: transform\.json is of format 6"):
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


def test_slices_that_cannot_be_evaluated_are_refused_before_the_training(tmp_path: Path) -> None:
    build = SimpleNamespace(
        kept={"note": "string"}, stored={"x": StoredColumn(name="raw_x", type="boolean")}
    )
    published = dataset(REGRESSION)
    published.build = build
    column = tiny_recipe(tmp_path, "evaluate.slices=[{columns: [amount]}]")
    with pytest.raises(RecipeError) as caught:
        check_slices(column, published)
    assert [p.where for p in caught.value.problems] == ["evaluate.slices.0.columns"]
    assert "the dataset has no column amount" in str(caught.value)
    features = "features={x: {kind: standardize}}"
    for limits, problem in (
        ("[{columns: [x]}]", None),
        ("[{columns: [x], buckets: [1]}]", "x holds true and false, which no limits divide"),
    ):
        limited = tiny_recipe(tmp_path, features, "derive={}", f"evaluate.slices={limits}")
        if problem is None:
            check_slices(limited, published)
            continue
        with pytest.raises(RecipeError, match=problem):
            check_slices(limited, published)


def test_streams_that_do_not_fit_are_refused_before_ranks_start(tmp_path: Path) -> None:
    group = SimpleNamespace(rows=10**6, row_groups=(10**6,))
    splits: dict[str, list[Any]] = {"train": [group] * 4, "validation": [group], "test": []}
    version: Any = SimpleNamespace(
        list_files=splits.get, count_rows=lambda split: sum(f.rows for f in splits[split])
    )
    # x, label and row_id: 16 bytes a row, so a row group has 16 MB
    free = choose_stream_shapes(tiny_recipe(tmp_path), version, REGRESSION)
    assert [*free] == ["train", "validation"]
    assert free["train"].memory_bytes > 150 * 10**6
    bound = tiny_recipe(tmp_path, "stream.memory=1500000000", "train.ranks=2")
    shapes = choose_stream_shapes(bound, version, REGRESSION)
    assert all(shape.memory_bytes <= 1_500_000_000 for shape in shapes.values())
    with pytest.raises(StreamError, match=r"stream\.memory: 9,000,000 bytes have no room"):
        choose_stream_shapes(tiny_recipe(tmp_path, "stream.memory=9000000"), version, REGRESSION)
