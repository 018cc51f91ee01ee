"""What is known of a champion before ranks are started."""

import pytest

from headrace.errors import DatasetError, UnreachableError
from headrace.evaluate import run
from headrace.lake.version import DatasetVersion
from headrace.tracking.model import ModelVersion
from tests.tiny import tiny_recipe


def version(name: str, number: int, transform: str) -> ModelVersion:
    facts = {"transform_digest": transform, "dataset_root": "/nowhere", "dataset_version": 3}
    return ModelVersion(name, number, "r", facts)


class Dataset:
    root, version = "/data", 7


def known(champion: ModelVersion, model: ModelVersion, tmp_path) -> dict:
    return run._known(tiny_recipe(tmp_path), champion, model, Dataset())  # type: ignore[arg-type]


def test_a_version_of_another_model_is_not_the_champion(tmp_path) -> None:
    assert known(version("m", 3, "t"), version("m", 3, "t"), tmp_path)["same"]
    found = known(version("m", 3, "t"), version("other", 3, "t"), tmp_path)
    assert not found["same"]
    assert found["dataset"] == {"root": "/data", "version": 7}


def test_a_dataset_that_is_gone_is_no_comparison(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(root: str, version: int) -> DatasetVersion:
        raise DatasetError(f"s3://key:secret@bucket has no version {version}")

    monkeypatch.setattr(run.DatasetVersion, "open", gone)
    found = known(version("m", 2, "another"), version("m", 3, "t"), tmp_path)
    assert "the dataset of models:/m/2 is gone" in found["why_not"]
    assert "secret" not in found["why_not"]


def test_a_store_that_is_away_is_an_error(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(root: str, version: int) -> DatasetVersion:
        raise UnreachableError("no answer")

    monkeypatch.setattr(run.DatasetVersion, "open", away)
    with pytest.raises(UnreachableError):
        known(version("m", 2, "another"), version("m", 3, "t"), tmp_path)
