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
    monkeypatch.setattr(network, "choose_call_rows", lambda *_: 16)
    for rows in (1, 10, 16, 40):
        assert predict(packed, rows).tolist() == [5.0 + 2 * i for i in range(rows)]


@pytest.mark.parametrize(
    ("shapes", "rows"),
    [
        ([], 32_768),  # two numbers and no weights: as many as a call may have
        ([(429, 128), (128,), (128, 64), (64, 1)], 16_384),  # 195 numbers of 4 bytes
        ([(10, 5000), (5000, 5000)], 256),
        ([(3, 3, 3, 10**7)], 16),
    ],
)
def test_rows_of_a_call_follow_from_the_network(shapes: list[tuple[int, ...]], rows: int) -> None:
    assert network.choose_call_rows(SPEC, shapes) == rows


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of two layers over 90 numbers."""
    tf = import_tensorflow()
    rng = np.random.default_rng(3)

    class Dense(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.first = tf.Variable(rng.normal(size=(90, 33)).astype(np.float32))
            self.last = tf.Variable(rng.normal(size=(33, 3)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec((None, 90), tf.float32, name="input_0")])
        def call(self, input_0: Any) -> Any:
            return tf.nn.softmax(tf.nn.relu(input_0 @ self.first) @ self.last)

    folder, module = tmp_path_factory.mktemp("dense"), Dense()
    tf.saved_model.save(module, str(folder / "saved"), signatures={"network": module.call})
    pack_folder(str(folder / "saved"), str(folder / "saved.zip"))
    return str(folder / "saved.zip")


def test_a_row_is_predicted_the_same_whatever_rows_it_is_with(dense: str) -> None:
    """As bits: tasks cut a table wherever its files end."""
    spec = specs.make_spec(*(specs.NUMBER.model_copy(update={"name": f"x{i}"}) for i in range(90)))
    call = load_network(dense, spec, 1)
    (name,) = spec.inputs
    rows = np.random.default_rng(4).normal(size=(2000, 90)).astype(np.float32)
    whole = call({name: rows})
    for size in (1, 2, 7, 100, 1999):
        parts = [call({name: rows[i : i + size]}) for i in range(0, min(2000, 60 * size), size)]
        joined = np.concatenate(parts)
        assert np.array_equal(joined, whole[: len(joined)]), size


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
