"""A model that nobody can load again is refused with what is wrong, before it is registered."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from headrace.errors import ModelError
from headrace.models.load import check_loadable, load_keras_model


class Unregistered(keras.layers.Layer):
    """A layer that Keras does not know by name."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2


@keras.saving.register_keras_serializable(package="tests")
class Registered(Unregistered):
    """The same, registered."""


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(keras.layers.Layer):
    """A registered layer whose config lacks its argument."""

    def __init__(self, units: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.dense = keras.layers.Dense(units)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def build(self, shape: Any) -> None:
        self.dense.build(shape)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def model_of(layer: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))


def test_what_is_registered_with_keras_is_loaded(tmp_path: Path) -> None:
    model = model_of(Registered())
    check_loadable(model, str(tmp_path / "m.keras"), "it")
    loaded = load_keras_model(tmp_path / "m.keras", "it")
    rows = np.ones((3, 2), "float32")
    np.testing.assert_array_equal(model(rows), loaded(rows))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Unregistered(), "Could not locate class 'Unregistered'.*register_keras_serializable"),
        (keras.layers.Lambda(lambda x: x * 2), "a layer of your own in place of Lambda"),
        (Forgetful(units=5), "it cannot be loaded: Input 0"),
    ],
    ids=["unregistered", "lambda", "config without arguments"],
)
def test_what_cannot_be_loaded_is_refused(
    layer: keras.layers.Layer, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        check_loadable(model_of(layer), str(tmp_path / "m.keras"), "it")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_a_file_that_is_no_model_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ModelError, match="model m cannot be loaded"):
        load_keras_model(tmp_path / "m.keras", "model m")
