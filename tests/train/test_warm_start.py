"""A training starts with the weights of another model."""

from pathlib import Path

import keras
import numpy as np
import pytest

from headrace.errors import TrainError
from headrace.models.build import build_model
from headrace.recipe.sections import Mlp
from headrace.tracking.store import Store
from headrace.train import warm_start
from headrace.train.warm_start import load_initial_weights
from tests.models.specs import NUMBER, WORD, make_spec

STORE = Store("sqlite:///nowhere", "e", "m", None)


def model(*hidden: int) -> keras.Model:
    return build_model(Mlp(kind="mlp", hidden=list(hidden)), make_spec(NUMBER, WORD))


def test_weights_are_taken_over(tmp_path: Path) -> None:
    first, second = model(4), model(4)
    first.save(tmp_path / "first.keras")
    load_initial_weights(second, str(tmp_path / "first.keras"), STORE)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_a_registered_model_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = model(4), model(4)

    def download(store: Store, version: str, name: str, folder: str) -> str:
        assert (store, version, name) == (STORE, "version of models:/tides/3", "keras_model")
        source.save(f"{folder}/model.keras")
        return f"{folder}/model.keras"

    monkeypatch.setattr(warm_start, "find_model", lambda store, uri: f"version of {uri}")
    monkeypatch.setattr(warm_start, "download_model_file", download)
    load_initial_weights(target, "models:/tides/3", STORE)
    for a, b in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    model(5).save(tmp_path / "five.keras")
    with pytest.raises(TrainError, match=r"five\.keras has .* weights.*hidden\.0/kernel is"):
        load_initial_weights(model(4), str(tmp_path / "five.keras"), STORE)
    with pytest.raises(TrainError, match=r"none\.keras does not exist"):
        load_initial_weights(model(4), str(tmp_path / "none.keras"), STORE)
    (tmp_path / "no.keras").write_text("no model")
    with pytest.raises(TrainError, match=r"no\.keras cannot be loaded"):
        load_initial_weights(model(4), str(tmp_path / "no.keras"), STORE)
