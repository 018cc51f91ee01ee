"""The models: shapes, what the recipe's settings change, and the graph that takes raw rows."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.models.build import build_model, logits_of
from pipelines.models.mlp import embedding_width
from pipelines.models.predict import predict_batches
from pipelines.models.raw import export_raw_model, with_transform
from pipelines.recipe.sections import Mlp
from pipelines.transform.graph import MISSING_STRING
from pipelines.transform.spec import (
    HashFeature,
    RawColumn,
    StandardizeFeature,
    TransformSpec,
    VocabularyFeature,
)

NUMBER = StandardizeFeature(name="x", column="x", mean=10.0, scale=2.0)
WORD = VocabularyFeature(name="w", column="w", values=("a", "b"))
HASH = HashFeature(name="h", column="w", buckets=100)
RAW = (
    RawColumn(name="x", kind="real", nullable=True),
    RawColumn(name="w", kind="string", nullable=True),
)
SPEC = TransformSpec(raw=RAW, derived=(), features=(NUMBER, WORD, HASH))


def batch(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "numeric": rng.normal(size=(rows, 1)).astype(np.float32),
        "categorical": rng.integers(0, 4, (rows, 2)).astype(np.int32),
        "label": np.zeros(rows, np.float32),
        "weight": np.ones(rows, np.float32),
    }


def test_probability_is_the_sigmoid_of_the_logits() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[4]), SPEC)
    inputs = {k: batch(5)[k] for k in ("numeric", "categorical")}
    logits = logits_of(model)(inputs)
    assert logits.shape == (5,)
    np.testing.assert_allclose(model(inputs), tf.sigmoid(logits), rtol=1e-6)


@pytest.mark.parametrize("features", [(NUMBER,), (WORD,), (NUMBER, WORD, HASH)])
def test_a_group_without_features_is_left_out(features: tuple) -> None:
    spec = TransformSpec(raw=RAW, derived=(), features=features)
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec)
    expected = {"numeric"} if spec.numeric else set()
    expected |= {"categorical"} if spec.categorical else set()
    assert {tensor.name for tensor in model.inputs} == expected


def test_settings_reach_the_layers() -> None:
    settings = Mlp(
        kind="mlp", hidden=[4, 3], activation="gelu", dropout=0.5, l2=0.1, initializer="he_normal"
    )
    model = build_model(settings, SPEC)
    dense = [layer for layer in model.layers if layer.name.startswith("hidden")]
    assert [layer.units for layer in dense] == [4, 3]
    assert dense[0].activation is keras.activations.gelu
    assert isinstance(dense[0].kernel_initializer, keras.initializers.HeNormal)
    assert dense[0].kernel_regularizer.l2 == pytest.approx(0.1)
    assert [layer.rate for layer in model.layers if "dropout" in layer.name] == [0.5, 0.5]
    assert len(model.losses) == 2


@pytest.mark.parametrize(("cardinality", "width"), [(2, 2), (9, 3), (10, 4), (10_000, 16)])
def test_embedding_width(cardinality: int, width: int) -> None:
    assert embedding_width(cardinality, 16) == width


def test_the_bare_model_loads_in_safe_mode(tmp_path: Path) -> None:
    model = build_model(Mlp(kind="mlp", hidden=[4]), SPEC)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    inputs = {k: batch(3)[k] for k in ("numeric", "categorical")}
    np.testing.assert_array_equal(model(inputs), again(inputs))


def test_predict_leaves_padding_out() -> None:
    model = build_model(Mlp(kind="mlp", hidden=[4]), SPEC)
    whole = batch(6)
    padded = {**whole, "weight": np.array([1, 0, 1, 1, 0, 0], np.float32)}
    padded["row_id"] = np.arange(6)
    found = predict_batches(model, [padded, padded])
    expected = model({k: whole[k] for k in ("numeric", "categorical")}).numpy()[[0, 2, 3]]
    np.testing.assert_allclose(found["probability"], np.tile(expected, 2), rtol=1e-6)
    assert found["row_id"].tolist() == [0, 2, 3, 0, 2, 3]


def test_the_exported_graph_takes_raw_values_without_headrace(tmp_path: Path) -> None:
    model = build_model(Mlp(kind="mlp", hidden=[4]), SPEC)
    export_raw_model(model, SPEC, str(tmp_path / "saved"))
    raw = {
        "raw_0": tf.constant([12.0, float("nan"), 8.0], tf.float64),
        "raw_1": tf.constant([b"b", MISSING_STRING, "é".encode()]),
    }
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serve"](**raw)
    h_b, h_e = (1 + int(tf.strings.to_hash_bucket_fast(w, 100)) for w in (b"b", "é".encode()))
    bare = model(
        {
            "numeric": np.array([[1.0], [0.0], [-1.0]], np.float32),
            "categorical": np.array([[3, h_b], [0, 0], [1, h_e]], np.int32),
        }
    )
    np.testing.assert_allclose(served["probability"], bare, rtol=1e-6)
    np.testing.assert_allclose(with_transform(model, SPEC)(raw), bare, rtol=1e-6)
