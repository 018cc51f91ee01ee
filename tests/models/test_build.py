"""What all families have in common: outputs by label, settings, training, safe mode, refusals."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import RecipeError
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_logits_model, build_model
from headrace.recipe import sections as s
from headrace.recipe.sections import Cnn, Mlp, Rnn, Transformer
from headrace.train.optimizer import build_optimizer
from headrace.train.step import TrainStep
from headrace.transform.spec import TransformSpec
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
    WIND,
    WORD,
    draw_inputs,
    make_spec,
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
        spec = make_spec(*EVERY, label=label)
        model = build_model(family(kind), spec)
        rows = draw_inputs(spec, 5)
        logits, output = build_logits_model(model)(rows), model(rows)
        assert model.output_names == [name]
        assert output.shape == logits.shape == shape
        end = {"classes": tf.nn.softmax, "regression": tf.identity}
        np.testing.assert_allclose(output, end.get(label.kind, tf.sigmoid)(logits), rtol=1e-5)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_input_is_read_and_the_bare_model_loads_in_safe_mode(
    kind: str, tmp_path: Path
) -> None:
    spec = make_spec(*EVERY, label=REGRESSION)
    keras.utils.set_random_seed(1)
    model = build_model(family(kind, activation="tanh", dropout=0.2), spec)
    rows = draw_inputs(spec, 3)
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
    spec = make_spec(NUMBER, SERIES, IMAGE)
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
    rows = draw_inputs(spec, 64)
    assert not np.array_equal(model(rows, training=True), model(rows, training=True))
    np.testing.assert_array_equal(model(rows), model(rows))
    own = {
        "mlp": ("hidden.0", "kernel_initializer"),
        "cnn": ("block.1.convolution.1", "kernel_initializer"),
        "rnn": ("gru.0", "kernel_initializer"),
        "transformer": ("block.0.dense.wide", "kernel_initializer"),
    }[kind]
    initializer = getattr(model.get_layer(own[0]), own[1])
    assert isinstance(initializer, keras.initializers.HeNormal)
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
    model = build_model(Mlp(kind="mlp", hidden=[4]), make_spec(*features))
    assert {tensor.name for tensor in model.inputs} == expected


def test_all_problems_of_a_model_are_raised_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        build_model(
            Transformer(kind="transformer", heads=3, width=8),
            make_spec(NUMBER, label=LabelSpec(kind="classes", classes=("only",))),
        )
    text = str(caught.value)
    assert "model.kind: transformer reads features of kind series, there is none" in text
    assert "model.width: 3 heads cannot share a width of 8 equally" in text
    assert "label.kind: the train split has fewer than two classes, only: only" in text


def halve_inputs(inputs: dict, spec: TransformSpec, units: int) -> keras.KerasTensor:
    """Halve a dense layer, as a user's function may."""
    return keras.layers.Dense(units, name="own")(inputs["numeric"]) / 2


OWN = f"{__name__}:halve_inputs"

LEARNERS = [
    (s.WideDeep(kind="wide_deep", hidden=[4]), (NUMBER, WORD, HASH)),
    (s.Dcn(kind="dcn", crosses=2, hidden=[4]), (NUMBER, WORD)),
    (s.Dlrm(kind="dlrm", hidden=[4], embedding_width=4), (NUMBER, WORD, HASH, TOKENS)),
    (s.Resnet(kind="resnet", filters=[4, 8], blocks=1, dropout=0.1), (IMAGE, NUMBER)),
    (s.Rnn(kind="rnn", units=[4, 3], bidirectional=True), (SERIES, WIND)),
    (s.Transformer(kind="transformer", over="text", width=8, heads=2), (TOKENS, NUMBER)),
    (s.Transformer(kind="transformer", over="text", width=8, pool="last"), (TOKENS,)),
    (s.Transformer(kind="transformer", over="table", width=8, heads=2), (NUMBER, WORD, HASH)),
    (s.Python(kind="python", function=OWN, options={"units": 5}, hidden=[3]), (NUMBER, WORD)),
    (s.Mlp(kind="mlp", hidden=[4], normalize="batch"), (NUMBER,)),
    (s.Mlp(kind="mlp", hidden=[4], normalize="layer"), (NUMBER,)),
]


@pytest.mark.parametrize(("model", "features"), LEARNERS, ids=lambda v: getattr(v, "kind", ""))
def test_a_family_learns_and_is_saved_in_safe_mode(
    model: s.Model, features: tuple, tmp_path: Path
) -> None:
    spec = make_spec(*features)
    keras.utils.set_random_seed(1)
    built = build_model(model, spec)
    inputs = draw_inputs(spec, 32)
    label = (inputs["numeric"][:, 0] > 0 if "numeric" in inputs else np.arange(32) % 2).astype("f")
    batch = {**inputs, "label": label, "weight": np.ones(32, np.float32)}
    optimizer = build_optimizer(s.Optimizer(kind="adam"))
    optimizer.build(built.trainable_variables)
    step = TrainStep(built, optimizer, SoloCollectives(), spec.label.kind)
    losses = [float(step(batch, n, rate=0.02).loss) for n in range(40)]
    assert losses[-1] < losses[0] - 0.02
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(inputs), built(inputs), atol=1e-6)
