"""What every family has in common: its outputs by label, its settings, safe mode, refusals."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.errors import RecipeError
from headrace.models.build import build_model, logits_of
from headrace.recipe.sections import Cnn, Mlp, Rnn, Transformer
from headrace.transform.spec import LabelSpec
from tests.models.specs import (
    BINARY,
    CLASSES,
    EVERY,
    HASH,
    IMAGE,
    LABELS,
    NUMBER,
    REGRESSION,
    SERIES,
    TOKENS,
    WORD,
    inputs_of,
    spec_of,
)

FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "mlp": (Mlp, {"hidden": [4]}),
    "cnn": (Cnn, {"filters": [2, 3], "hidden": [4]}),
    "rnn": (Rnn, {"units": [3, 2], "hidden": [4]}),
    "transformer": (Transformer, {"blocks": 1, "heads": 2, "width": 4, "hidden": [4]}),
}


def family(kind: str, **settings: Any) -> Any:
    section, small = FAMILIES[kind]
    return section(kind=kind, **{**small, **settings})


@pytest.mark.parametrize("kind", FAMILIES)
def test_outputs_follow_the_label(kind: str) -> None:
    for label, name, shape in (
        (BINARY, "probability", (5,)),
        (CLASSES, "probabilities", (5, 3)),
        (LABELS, "probabilities", (5, 2)),
        (REGRESSION, "value", (5,)),
    ):
        spec = spec_of(*EVERY, label=label)
        model = build_model(family(kind), spec)
        rows = inputs_of(spec, 5)
        logits, output = logits_of(model)(rows), model(rows)
        assert model.output_names == [name]
        assert output.shape == logits.shape == shape
        end = {"classes": tf.nn.softmax, "regression": tf.identity}
        np.testing.assert_allclose(output, end.get(label.kind, tf.sigmoid)(logits), rtol=1e-5)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_input_is_read_and_the_bare_model_loads_in_safe_mode(
    kind: str, tmp_path: Path
) -> None:
    spec = spec_of(*EVERY, label=REGRESSION)
    keras.utils.set_random_seed(1)
    model = build_model(family(kind, activation="tanh", dropout=0.2), spec)
    rows = inputs_of(spec, 3)
    assert {tensor.name for tensor in model.inputs} == set(rows)
    before = model(rows).numpy()
    for name, array in rows.items():
        changed = {**rows, name: ((array + 1) % 4).astype(array.dtype)}
        assert not np.array_equal(model(changed), before), f"{kind} does not read {name}"
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True, compile=False)
    np.testing.assert_array_equal(again(rows), before)
    assert again.output_names == ["value"]


@pytest.mark.parametrize("kind", FAMILIES)
def test_settings_reach_the_layers_of_every_family(kind: str) -> None:
    spec = spec_of(NUMBER, SERIES, IMAGE)
    plain = build_model(family(kind), spec)
    assert not plain.losses
    model = build_model(
        family(kind, activation="gelu", initializer="he_normal", dropout=0.5, l1=0.2, l2=0.1), spec
    )
    # kernels without those of the head: none is left unregularized
    kernels = [
        w for w in model.trainable_weights
        if w.name in ("kernel", "recurrent_kernel") and "output.dense" not in w.path
    ]  # fmt: skip
    assert len(model.losses) == len(kernels) > 0
    (dense,) = (layer for layer in model.layers if layer.name == "hidden.0")
    assert dense.activation is keras.activations.gelu
    assert isinstance(dense.kernel_initializer, keras.initializers.HeNormal)
    assert dense.kernel_regularizer.l1 == pytest.approx(0.2)
    assert dense.kernel_regularizer.l2 == pytest.approx(0.1)
    rows = inputs_of(spec, 64)
    assert not np.array_equal(model(rows, training=True), model(rows, training=True))
    np.testing.assert_array_equal(model(rows), model(rows))
    own = {
        "mlp": ("hidden.0", "kernel_initializer"),
        "cnn": ("block.1.convolution.1", "kernel_initializer"),
        "rnn": ("gru.0", "kernel_initializer"),
        "transformer": ("block.0.dense.wide", "kernel_initializer"),
    }[kind]
    found = getattr(model.get_layer(own[0]), own[1])
    assert isinstance(found, keras.initializers.HeNormal)
    if kind in ("cnn", "transformer"):
        assert model.get_layer(own[0]).activation is keras.activations.gelu
    if kind == "rnn":  # what cuDNN computes, whatever the recipe's activation
        assert model.get_layer("gru.0").activation is keras.activations.tanh


@pytest.mark.parametrize(
    ("features", "expected"),
    [((NUMBER,), {"numeric"}), ((WORD,), {"categorical"}), ((TOKENS,), {"_tags"}),
     ((NUMBER, WORD, HASH), {"numeric", "categorical"})],
)  # fmt: skip
def test_inputs_without_features_are_left_out(features: tuple, expected: set[str]) -> None:
    model = build_model(Mlp(kind="mlp", hidden=[4]), spec_of(*features))
    assert {tensor.name for tensor in model.inputs} == expected


def test_all_problems_of_a_model_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        build_model(
            Transformer(kind="transformer", heads=3, width=8),
            spec_of(NUMBER, label=LabelSpec(kind="classes", classes=("only",))),
        )
    text = str(caught.value)
    assert "model.kind: transformer reads features of kind series, there is none" in text
    assert "model.width: 3 heads cannot share a width of 8 equally" in text
    assert "label.kind: the train split has not two classes, only: only" in text
