"""The exported graphs: from raw values to predictions, without Headrace."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.features.tensors import MISSING_STRING
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.models.raw import (
    RawModel,
    convert_output,
    export_network,
    export_raw_model,
    name_network_inputs,
)
from headrace.recipe.sections import Cnn, Mlp
from headrace.score.network import load_network, pack_folder
from tests.models.specs import (
    BINARY,
    CLASSES,
    EVERY,
    HASH,
    LABELS,
    NUMBER,
    REGRESSION,
    WORD,
    make_spec,
)


def serve(folder: Path, raw: dict[str, Any]) -> dict[str, Any]:
    return tf.saved_model.load(str(folder)).signatures["serve"](**raw)


def test_scalars_by_hand(tmp_path: Path) -> None:
    spec = make_spec(NUMBER, WORD, HASH)
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec)
    export_raw_model(model, spec, str(tmp_path))
    raw = {
        "raw_0": tf.constant([12.0, float("nan"), 8.0], tf.float64),
        "raw_1": tf.constant([b"b", MISSING_STRING, "é".encode()]),
    }
    h_b, h_e = (1 + int(tf.strings.to_hash_bucket_fast(w, 100)) for w in (b"b", "é".encode()))
    bare = model(
        {
            "numeric": np.array([[1.0], [0.0], [-1.0]], np.float32),
            "categorical": np.array([[3, h_b], [0, 0], [1, h_e]], np.int32),
        }
    )
    np.testing.assert_allclose(serve(tmp_path, raw)["probability"], bare, rtol=1e-6)
    np.testing.assert_allclose(RawModel(model, spec)(raw), bare, rtol=1e-6)


@pytest.mark.parametrize(
    "label", [BINARY, CLASSES, LABELS, REGRESSION], ids=lambda label: label.kind
)
def test_lists_and_images_by_hand(label: LabelSpec, tmp_path: Path) -> None:
    spec = make_spec(*EVERY, label=label)
    model = build_model(Cnn(kind="cnn", filters=[2], hidden=[4]), spec)
    export_raw_model(model, spec, str(tmp_path / "raw"))
    export_network(model, spec, str(tmp_path / "network"))
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    raw = {
        "raw_0": tf.constant([14.0, 10.0], tf.float64),
        "raw_1": tf.constant([b"a", b"unseen"]),
        "raw_2": tf.constant([[b"c", b"b", b"a", b"a", b"a"], [MISSING_STRING] * 5]),
        "raw_3": tf.constant([[1.0, float("nan"), 3.0], [float("nan")] * 3], tf.float64),
        "raw_4": tf.constant([[0.0] * 6, [7.0] * 6], tf.float64),
        "raw_5": tf.stack([tf.io.encode_png(pixels[0]), tf.constant(MISSING_STRING)]),
    }
    h_a, h_u = (1 + int(tf.strings.to_hash_bucket_fast(w, 100)) for w in (b"a", b"unseen"))
    inputs = {
        "numeric": np.array([[2.0], [0.0]], np.float32),
        "categorical": np.array([[2, h_a], [1, h_u]], np.int32),
        "_tags": np.array([[4, 3, 2, 2], [0, 0, 0, 0]], np.int32),
        "tide": np.array([[1, 0, 3, 0, 0, 0], [0] * 6], np.float32),
        "wind": np.array([[0] * 6, [7] * 6], np.float32),
        "photo": np.concatenate([pixels, np.zeros_like(pixels)]),
    }
    bare = model(inputs).numpy()
    predicted = serve(tmp_path / "raw", raw)
    if label.kind == "regression":
        assert list(predicted) == ["value"]
        assert predicted["value"].dtype == tf.float64
        np.testing.assert_allclose(predicted["value"], bare * 2.0 + 5.0, rtol=1e-5)
    else:
        (output,) = predicted
        assert output == ("probability" if label.kind == "binary" else "probabilities")
        np.testing.assert_allclose(predicted[output], bare, rtol=1e-5)
    pack_folder(str(tmp_path / "network"), str(tmp_path / "network.zip"))
    network = load_network(str(tmp_path / "network.zip"), spec, 1)
    (expected,) = predicted.values()
    np.testing.assert_allclose(network(inputs), expected, rtol=1e-5)


def test_a_layer_that_looks_things_up_is_exported_with_its_table(tmp_path: Path) -> None:
    spec = make_spec(WORD)
    ids = keras.Input((1,), dtype="int32", name="categorical")
    positions = keras.layers.IntegerLookup(vocabulary=[2, 3], num_oov_indices=1)(ids)
    hidden = keras.layers.Flatten()(keras.layers.Embedding(4, 3)(positions))
    output = keras.layers.Dense(1, activation="sigmoid")(hidden)
    model = keras.Model({"categorical": ids}, keras.layers.Reshape((), name="probability")(output))
    export_network(model, spec, str(tmp_path / "network"))
    pack_folder(str(tmp_path / "network"), str(tmp_path / "network.zip"))
    inputs = {"categorical": np.array([[2], [0], [3]], np.int32)}
    network = load_network(str(tmp_path / "network.zip"), spec, 1)
    np.testing.assert_allclose(network(inputs), model(inputs), rtol=1e-6)


def test_inputs_of_the_network_are_named_by_position() -> None:
    assert name_network_inputs(make_spec(NUMBER, WORD)) == {
        "input_0": "numeric", "input_1": "categorical"
    }  # fmt: skip


def test_numbers_alone_are_converted_to_the_own_unit() -> None:
    output = tf.constant([0.5, -1.0])
    assert convert_output(output, BINARY) is output
    numbers = convert_output(output, REGRESSION)
    assert numbers.dtype == tf.float64
    np.testing.assert_allclose(numbers, [0.5 * 2 + 5, -1 * 2 + 5])
