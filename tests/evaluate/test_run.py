"""The evaluate stage before it starts ranks: champion, threshold, slices, dataset."""

from types import SimpleNamespace

import pytest

from headrace.errors import DatasetError, ModelError, UnreachableError
from headrace.evaluate import run
from headrace.lake.storage import resolve_root
from headrace.lake.version import DatasetVersion
from headrace.tracking.model import ModelVersion
from tests.tiny import tiny_recipe


def make_version(name: str, number: int, transform: str) -> ModelVersion:
    facts = {"transform_digest": transform, "dataset_root": "/nowhere", "dataset_version": 3}
    return ModelVersion(name, number, "r", facts)


class Dataset:
    root, version = "/data", 7


def describe_champion(champion: ModelVersion, model: ModelVersion, tmp_path) -> dict:
    return run._describe_champion(tiny_recipe(tmp_path), champion, model, Dataset())  # type: ignore[arg-type]


def test_a_version_of_another_model_is_not_the_champion(tmp_path) -> None:
    assert describe_champion(make_version("m", 3, "t"), make_version("m", 3, "t"), tmp_path)["same"]
    champion = describe_champion(make_version("m", 3, "t"), make_version("other", 3, "t"), tmp_path)
    assert not champion["same"]
    assert champion["dataset"] == {"root": "/data", "version": 7}


def test_a_dataset_that_is_gone_prevents_the_comparison(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_missing(root: str, version: int) -> DatasetVersion:
        raise DatasetError(f"s3://key:secret@bucket has no version {version}")

    monkeypatch.setattr(run.DatasetVersion, "open", raise_missing)
    champion = describe_champion(
        make_version("m", 2, "another"), make_version("m", 3, "t"), tmp_path
    )
    assert "the dataset of models:/m/2 is gone" in champion["why_not"]
    assert "secret" not in champion["why_not"]


def test_a_store_that_cannot_be_reached_is_an_error(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_unreachable(root: str, version: int) -> DatasetVersion:
        raise UnreachableError("no answer")

    monkeypatch.setattr(run.DatasetVersion, "open", raise_unreachable)
    with pytest.raises(UnreachableError):
        describe_champion(make_version("m", 2, "another"), make_version("m", 3, "t"), tmp_path)


def test_a_champion_of_the_same_transform_predicts_the_same_rows(tmp_path) -> None:
    champion = describe_champion(make_version("m", 2, "t"), make_version("m", 3, "t"), tmp_path)
    assert champion == {
        "uri": "models:/m/2",
        "same": False,
        "threshold": 0.5,
        "dataset": {"root": "/data", "version": 7},
        "why_not": "",
    }


@pytest.mark.parametrize(
    ("rows", "dataset", "obstacle"),
    [
        (9, {"root": "/nowhere", "version": 3}, ""),
        (0, {"root": "/data", "version": 7}, "the dataset of models:/m/2 has no test rows"),
    ],
)
def test_a_champion_of_another_transform_predicts_its_own_rows(
    tmp_path, monkeypatch: pytest.MonkeyPatch, rows: int, dataset: dict, obstacle: str
) -> None:
    class ChampionDataset:
        def count_rows(self, split: str) -> int:
            return rows

    monkeypatch.setattr(run.DatasetVersion, "open", lambda root, version: ChampionDataset())
    champion = describe_champion(
        make_version("m", 2, "another"), make_version("m", 3, "t"), tmp_path
    )
    assert (champion["dataset"], champion["why_not"]) == (dataset, obstacle)


def test_a_threshold_of_the_recipe_goes_before_that_of_the_model(tmp_path) -> None:
    model = make_version("m", 3, "t")
    plain = tiny_recipe(tmp_path)
    assert run.resolve_threshold(model, plain) == 0.5
    model.metadata["threshold"] = 0.3
    assert run.resolve_threshold(model, plain) == 0.3
    assert run.resolve_threshold(model, tiny_recipe(tmp_path, "evaluate.threshold=0.7")) == 0.7
    chosen = tiny_recipe(tmp_path, "evaluate.threshold={choose: max_f1}")
    assert run.resolve_threshold(model, chosen) == 0.3


def test_the_root_is_the_recipe_s_where_it_is_the_same_without_credentials(tmp_path) -> None:
    model = make_version("m", 3, "t")
    recipe = tiny_recipe(tmp_path)
    assert run._resolve_dataset_root(recipe, model) == "/nowhere"
    model.metadata["dataset_root"] = resolve_root(recipe.dataset.path)
    assert run._resolve_dataset_root(recipe, model) == resolve_root(recipe.dataset.path)


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
