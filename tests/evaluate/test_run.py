"""The evaluate stage before it starts ranks: threshold, slices, dataset."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import ModelError
from headrace.evaluate import run
from headrace.features.scaled import ScaledFeature
from headrace.labels.losses.kinds import parse_loss
from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.tracking.model import ModelVersion
from headrace.transform.spec import RawColumn, TransformSpec
from tests.tiny import tiny_recipe


def make_version(name: str, number: int, transform: str) -> ModelVersion:
    facts = {"transform_digest": transform, "dataset_root": "/nowhere", "dataset_version": 3}
    return ModelVersion(name, number, "r", facts)


def test_a_threshold_of_the_recipe_goes_before_that_of_the_model(tmp_path) -> None:
    model = make_version("m", 3, "t")
    plain = tiny_recipe(tmp_path)
    assert run.resolve_threshold(model, plain) == 0.5
    model.metadata["threshold"] = 0.3
    assert run.resolve_threshold(model, plain) == 0.3
    assert run.resolve_threshold(model, tiny_recipe(tmp_path, "evaluate.threshold=0.7")) == 0.7
    chosen = tiny_recipe(tmp_path, "evaluate.threshold={choose: max_f1}")
    assert run.resolve_threshold(model, chosen) == 0.3


def test_slices_that_the_dataset_cannot_give_are_refused(tmp_path) -> None:
    amount = ScaledFeature(name="amount", column="amount")
    raw = (RawColumn(name="amount", kind="integer", nullable=True),)
    stored = StoredColumn(name="raw_amount", type="boolean")
    dataset = SimpleNamespace(
        root="/data",
        version=7,
        transform_json=TransformSpec(raw=raw, derived=(), features=(amount,)).to_json(),
        text_files=None,
        build=SimpleNamespace(kept={"note": "string"}, stored={"amount": stored}),
    )
    recipe = tiny_recipe(
        tmp_path,
        "dataset.keep=[note, day, visit]",
        "evaluate.slices=[{columns: [amount], buckets: [1]}, {columns: [note, day]},"
        " {columns: [visit]}, {columns: [note], buckets: [1e6]}]",
    )
    with pytest.raises(ModelError) as caught:
        run._refuse_slices(recipe, dataset)  # type: ignore[arg-type]
    assert [
        line.partition(": ")[2] for line in str(caught.value).split("evaluate.slices.")[1:]
    ] == [
        "amount holds true and false, which no limits divide (remove buckets); ",
        "the dataset has no column day (prepare it again with dataset.keep); ",
        "the dataset has no column visit (prepare it again with dataset.keep); ",
        "note holds texts, which no limits divide (remove buckets)",
    ]


@pytest.mark.parametrize(
    ("recorded", "loss", "message"),
    [
        (None, None, ""),
        (None, {"kind": "squared_error"}, ""),
        ({"kind": "huber", "delta": 2.0}, {"kind": "huber", "delta": 2}, ""),
        ({"kind": "huber", "delta": 2.0}, {"kind": "huber", "delta": 3.0}, '"delta": 2.0}, and'),
        (None, {"kind": "quantile", "level": 0.9}, 'train.loss {"kind": "squared_error"}, and the '
         'recipe has {"kind": "quantile", "level": 0.9}'),
        ({"kind": "python", "function": "os:system", "options": {}}, None, "os:system"),
    ],
)  # fmt: skip
def test_a_model_is_evaluated_by_the_loss_that_it_was_trained_with(
    tmp_path: Path, recorded: Any, loss: Any, message: str
) -> None:
    """A function that a model names is compared, and never run."""
    spec = TransformSpec(raw=(), derived=(), features=(), label=LabelSpec(kind="regression"))
    dataset: Any = SimpleNamespace(transform_json=spec.to_json(), text_files=None)
    model = make_version("m", 3, "t")
    if recorded:
        model.metadata["loss"] = recorded
    recipe = tiny_recipe(tmp_path)
    train = recipe.train.model_copy(update={"loss": parse_loss(loss)})
    recipe = recipe.model_copy(update={"train": train})
    if not message:
        run._refuse_other_loss(recipe, model, dataset)
        return
    with pytest.raises(ModelError) as caught:
        run._refuse_other_loss(recipe, model, dataset)
    assert message in str(caught.value)
