"""The evaluate stage before it starts ranks: threshold, slices, dataset."""

from types import SimpleNamespace

import pytest

from headrace.errors import ModelError
from headrace.evaluate import run
from headrace.tracking.model import ModelVersion
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


def test_slices_by_columns_that_do_not_exist_are_refused(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlicedDataset:
        root, version, transform_json = "/data", 7, ""
        build = SimpleNamespace(kept=["note"])

    class Spec:
        features = (SimpleNamespace(name="amount"),)

    monkeypatch.setattr(run.TransformSpec, "from_json", lambda text: Spec())
    recipe = tiny_recipe(
        tmp_path,
        "dataset.keep=[note, day, visit]",
        "evaluate.slices=[{columns: [amount]}, {columns: [note, day]}, {columns: [visit]}]",
    )
    with pytest.raises(ModelError, match=r"no column day, visit for evaluate.slices"):
        run._refuse_missing_columns(recipe, SlicedDataset())  # type: ignore[arg-type]
