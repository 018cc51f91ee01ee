"""The model in a worker: packed, loaded once, called on some rows at once."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.errors import ModelError
from headrace.score import network
from headrace.score.network import import_tensorflow, load_network, pack_folder
from tests.models import specs

SPEC = specs.make_spec(specs.NUMBER, specs.WORD)


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    network._loaded.clear()
    yield
    network._loaded.clear()


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that multiplies its number by 2 and adds its id."""
    tf = import_tensorflow()

    class Doubling(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, 1), tf.float32, name="input_0"),
                tf.TensorSpec((None, 1), tf.int32, name="input_1"),
            ]
        )
        def call(self, input_0: Any, input_1: Any) -> Any:
            return 2 * input_0[:, 0] + tf.cast(input_1[:, 0], tf.float32)

    folder = tmp_path_factory.mktemp("model")
    module = Doubling()
    tf.saved_model.save(module, str(folder / "saved"), signatures={"network": module.call})
    tf.saved_model.save(module, str(folder / "old"), signatures={"rows": module.call})
    for name in ("saved", "old"):
        pack_folder(str(folder / name), str(folder / f"{name}.zip"))
    return str(folder / "saved.zip")


def predict(file: str, rows: int) -> np.ndarray:
    call = load_network(file, SPEC, 1)
    numbers = np.arange(rows, dtype=np.float32).reshape(-1, 1)
    return call({"categorical": np.full((rows, 1), 5, np.int32), "numeric": numbers})


def test_outputs_are_those_of_the_signature_by_the_names_of_inputs(packed: str) -> None:
    output = predict(packed, 3)
    assert output.dtype == np.float64
    assert output.tolist() == [5.0, 7.0, 9.0]


def test_rows_are_called_in_parts(packed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_ROWS_PER_CALL", 4)
    assert predict(packed, 10).tolist() == [5.0 + 2 * i for i in range(10)]


def test_a_model_is_loaded_once_and_then_another_one(packed: str, tmp_path: Path) -> None:
    first = load_network(packed, SPEC, 1)
    assert load_network(packed, SPEC, 1) is first
    other = tmp_path / "other.zip"
    other.write_bytes(Path(packed).read_bytes())
    assert load_network(str(other), SPEC, 1) is not first
    assert list(network._loaded) == [str(other)]


def test_a_model_without_the_signature(packed: str) -> None:
    with pytest.raises(ModelError, match=r"a Headrace that could not score with it; train again"):
        load_network(packed.replace("saved.zip", "old.zip"), SPEC, 1)


@pytest.mark.parametrize("before", [None, "0"])
def test_importing_tensorflow_leaves_the_choice_of_keras(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    if before is not None:
        monkeypatch.setenv("TF_USE_LEGACY_KERAS", before)
    assert import_tensorflow().__name__ == "tensorflow"
    assert os.environ.get("TF_USE_LEGACY_KERAS") == before
