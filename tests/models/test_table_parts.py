"""Models whose tables are read piece by piece: saved, exported, and read from a file."""

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.models import mapped_tables, table_parts
from headrace.models.build import build_model
from headrace.models.load import load_keras_model
from headrace.recipe import sections as s
from tests.train.table_steps import SPEC, draw_batch
from tests.train.test_sharded_tables import FAMILIES

SECTION = s.Dlrm.model_validate({"kind": "dlrm", "hidden": [8], "embedding_width": 16})


class Split:
    """A model of whole tables, and the same in pieces."""

    def __init__(self, asked: list[range]) -> None:
        self.model = build_model(SECTION, SPEC)
        layers = [x for x in self.model.layers if isinstance(x, keras.layers.Embedding)]
        self.tables = {layer.name: layer.embeddings.numpy() for layer in layers}
        ids = {id(layer.embeddings) for layer in layers}
        others = [w.numpy() for w in self.model.weights if id(w) not in ids]

        def read_rows(name: str, rows: range) -> np.ndarray:
            asked.append(rows)
            return self.tables[name][rows.start : rows.stop]

        self.split = table_parts.SplitModel(SECTION, SPEC, [*self.tables], others, read_rows)
        batch = draw_batch(np.random.default_rng(0))
        self.inputs = {tensor.name: batch[tensor.name] for tensor in self.model.inputs}
        self.expected = self.model(self.inputs).numpy()


@pytest.fixture
def asked() -> list[range]:
    return []


@pytest.fixture
def split(asked: list[range], monkeypatch: pytest.MonkeyPatch) -> Split:
    """Parts of a hundred rows, files of thirty, reads of seven."""
    monkeypatch.setattr(table_parts, "PART_NUMBERS", 16 * 100)
    monkeypatch.setattr(table_parts, "_FILE_NUMBERS", 16 * 30)
    monkeypatch.setattr(table_parts.list_chunks, "__defaults__", (16 * 7,))
    return Split(asked)


def test_a_saved_model_has_tables_in_parts_and_gives_the_same_answers(
    split: Split, asked: list[range], tmp_path: Path
) -> None:
    split.split.export(str(tmp_path))
    assert max(len(rows) for rows in asked) == 7  # no more of it was in memory at once
    shapes = dict(tf.train.list_variables(str(tmp_path / "variables/variables")))
    parts = [shapes[f"parts/{i}/.ATTRIBUTES/VARIABLE_VALUE"] for i in range(36 + 5)]
    # lists of words: 402 rows; both hashes: 3,502
    assert sorted(parts) == sorted([[100, 16]] * 39 + [[2, 16]] * 2)
    loaded = tf.saved_model.load(str(tmp_path))
    signature = loaded.signatures["network"]
    for count in (64, 1, 0):
        tensors = {
            f"input_{i}": tf.constant(split.inputs[name][:count])
            for i, name in enumerate(SPEC.inputs)
        }
        found = signature(**tensors)["probability"].numpy()
        # a product of another number of rows may be rounded otherwise
        np.testing.assert_allclose(found, split.expected[:count], rtol=0, atol=1e-6)


def test_a_keras_file_is_one_of_keras(split: Split, asked: list[range], tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    split.split.save(str(file))
    assert max(len(rows) for rows in asked) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    loaded = keras.saving.load_model(file, safe_mode=True)
    for name, values in split.tables.items():
        np.testing.assert_array_equal(loaded.get_layer(name).embeddings.numpy(), values)
    np.testing.assert_array_equal(loaded(split.inputs).numpy(), split.expected)


@pytest.mark.parametrize("above", [1, 30_000])
def test_large_tables_stay_in_the_file(split: Split, tmp_path: Path, above: int) -> None:
    file = tmp_path / "model.keras"
    split.model.save(file)  # by Keras itself
    loaded = mapped_tables.load_mapped_model(file, above)
    assert loaded is not None
    mapped = mapped_tables.list_mapped_tables(loaded)
    # 402 rows of 64 bytes are 25,728
    assert set(mapped) == ({"table.16"} if above > 1 else {"table.16", "embed.tags"})
    for name, table in mapped.items():
        assert isinstance(table.values, np.memmap)
        np.testing.assert_array_equal(table.values, split.tables[name])
    file.unlink()  # what is mapped stays
    np.testing.assert_array_equal(loaded(split.inputs).numpy(), split.expected)
    predicted = loaded.predict(split.inputs, verbose=0)
    np.testing.assert_allclose(predicted, split.expected, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_tables_of_every_family_may_stay_in_the_file(name: str, tmp_path: Path) -> None:
    model = build_model(FAMILIES[name], SPEC)
    model.save(tmp_path / "model.keras")
    loaded = mapped_tables.load_mapped_model(tmp_path / "model.keras", 8000)
    assert loaded is not None
    assert mapped_tables.list_mapped_tables(loaded)
    batch = draw_batch(np.random.default_rng(0))
    inputs = {tensor.name: batch[tensor.name] for tensor in model.inputs}
    np.testing.assert_allclose(loaded(inputs), model(inputs), rtol=0, atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class TiedHead(keras.layers.Layer):
    """A head whose weights are the table of an embedding."""

    def __init__(self, table: keras.layers.Embedding, **options: Any) -> None:
        super().__init__(**options)
        self.table = table

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return keras.ops.matmul(inputs, keras.ops.transpose(self.table.embeddings))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "table": keras.saving.serialize_keras_object(self.table)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TiedHead":
        config["table"] = keras.saving.deserialize_keras_object(config["table"])
        return cls(**config)


def test_tables_that_a_layer_of_the_users_own_may_read_are_loaded_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = keras.Input((3,), dtype="int32")
    table = keras.layers.Embedding(500, 8)
    model = keras.Model(inputs, TiedHead(table)(table(inputs)))
    file = tmp_path / "model.keras"
    model.save(file)
    monkeypatch.setattr("headrace.models.load._MAPPED_ABOVE", 1000)
    assert mapped_tables.load_mapped_model(file, 1000) is None
    loaded: Any = load_keras_model(file, "it")
    ids = np.array([[1, 2, 499]], np.int32)
    np.testing.assert_allclose(loaded(ids), model(ids), atol=1e-6)


def test_a_file_whose_weights_are_compressed_is_loaded_whole(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, packed = tmp_path / "model.keras", tmp_path / "packed.keras"
    split.model.save(file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    monkeypatch.setattr("headrace.models.load._MAPPED_ABOVE", 1000)
    for path, count in ((file, 2), (packed, 0)):
        loaded: Any = load_keras_model(path, "it")
        assert len(mapped_tables.list_mapped_tables(loaded)) == count
        np.testing.assert_array_equal(loaded(split.inputs).numpy(), split.expected)
