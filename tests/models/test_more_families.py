"""Wide and deep, cross network, residual network, text and table transformers, own functions."""

from pathlib import Path

import keras
import numpy as np
import pytest

from headrace.distributed.rank.collectives import Solo
from headrace.errors import RecipeError
from headrace.models.build import build_model, logits_of
from headrace.recipe import sections as s
from headrace.train.optimizer import build_optimizer
from headrace.train.step import TrainStep
from headrace.transform.spec import TransformSpec
from tests.models.specs import HASH, IMAGE, NUMBER, SERIES, TOKENS, WIND, WORD, inputs_of, spec_of


def halves(inputs: dict, spec: TransformSpec, units: int) -> keras.KerasTensor:
    """A user's function."""
    return keras.layers.Dense(units, name="own")(inputs["numeric"]) / 2


OWN = f"{__name__}:halves"
FAMILIES = [
    (s.WideDeep(kind="wide_deep", hidden=[4]), (NUMBER, WORD, HASH)),
    (s.Dcn(kind="dcn", crosses=2, hidden=[4]), (NUMBER, WORD)),
    (s.Resnet(kind="resnet", filters=[4, 8], blocks=1, dropout=0.1), (IMAGE, NUMBER)),
    (s.Rnn(kind="rnn", units=[4, 3], bidirectional=True), (SERIES, WIND)),
    (s.Transformer(kind="transformer", over="text", width=8, heads=2), (TOKENS, NUMBER)),
    (s.Transformer(kind="transformer", over="text", width=8, pool="last"), (TOKENS,)),
    (s.Transformer(kind="transformer", over="table", width=8, heads=2), (NUMBER, WORD, HASH)),
    (s.Python(kind="python", function=OWN, options={"units": 5}, hidden=[3]), (NUMBER, WORD)),
    (s.Mlp(kind="mlp", hidden=[4], normalize="batch"), (NUMBER,)),
    (s.Mlp(kind="mlp", hidden=[4], normalize="layer"), (NUMBER,)),
]


@pytest.mark.parametrize(("model", "features"), FAMILIES, ids=lambda v: getattr(v, "kind", ""))
def test_a_family_learns_and_is_saved_in_safe_mode(
    model: s.Model, features: tuple, tmp_path: Path
) -> None:
    spec = spec_of(*features)
    keras.utils.set_random_seed(1)
    built = build_model(model, spec)
    inputs = inputs_of(spec, 32)
    label = (inputs["numeric"][:, 0] > 0 if "numeric" in inputs else np.arange(32) % 2).astype("f")
    batch = {**inputs, "label": label, "weight": np.ones(32, np.float32)}
    optimizer = build_optimizer(s.Optimizer(kind="adam"))
    optimizer.build(built.trainable_variables)
    step = TrainStep(built, optimizer, Solo(), spec.label.kind)
    losses = [float(step(batch, n, rate=0.02).loss) for n in range(40)]
    assert losses[-1] < losses[0] - 0.02
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(inputs), built(inputs), atol=1e-6)


def test_wide_and_deep_by_hand() -> None:
    """Logit = deep + 2 x + the id's own weight."""
    model = build_model(s.WideDeep(kind="wide_deep", hidden=[1]), spec_of(NUMBER, WORD))
    model.get_layer("wide.w").set_weights([np.array([[0.0], [1.0], [10.0], [100.0]])])
    deep = model.get_layer("hidden.0")
    deep.set_weights([np.zeros_like(w) for w in deep.get_weights()])
    model.get_layer("output.dense").set_weights([np.array([[5.0], [2.0], [1.0]]), np.zeros(1)])
    found = logits_of(model)(
        {"numeric": np.array([[3.0], [4.0]], "f"), "categorical": np.array([[2], [3]], "i4")}
    )
    np.testing.assert_allclose(found, [2 * 3 + 10, 2 * 4 + 100])


def test_a_cross_layer_multiplies_inputs() -> None:
    """x0 * (W x0 + b) + x0 with W swapping the two inputs: (x y + x, y x + y)."""
    two = (NUMBER, NUMBER.model_copy(update={"name": "second", "column": "second"}))
    model = build_model(s.Dcn(kind="dcn", crosses=1, hidden=[1]), spec_of(*two))
    model.get_layer("cross.0").set_weights([np.array([[0.0, 1], [1, 0]]), np.zeros(2)])
    crossed = keras.Model(model.inputs, model.get_layer("cross.0.added").output)
    found = crossed({"numeric": np.array([[3.0, 5.0]], "f")})
    np.testing.assert_allclose(found, [[15 + 3, 15 + 5]])


def test_words_that_are_not_there_change_nothing() -> None:
    """Padding is neither attended to nor pooled."""
    for pool in ("mean", "last"):
        model = build_model(
            s.Transformer(kind="transformer", over="text", width=8, heads=2, pool=pool),
            spec_of(TOKENS),
        )
        table = model.get_layer("embed._tags")
        rows = {"_tags": np.array([[2, 3, 0, 0], [0, 0, 0, 0]], np.int32)}
        before = model(rows).numpy()
        weights = table.get_weights()[0]
        weights[0] += 100  # what padding stands for
        table.set_weights([weights])
        np.testing.assert_allclose(model(rows)[0], before[0], atol=1e-6)
        assert np.isfinite(model(rows)).all()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("nowhere.at_all:x", "cannot be imported"),
        (f"{__name__}:nothing", "cannot be imported"),
        (f"{__name__}:number", "gave int, expected a Keras tensor"),
    ],
)
def test_an_own_function_that_is_wrong_is_named(function: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        build_model(s.Python(kind="python", function=function), spec_of(NUMBER))


def number(inputs: dict, spec: TransformSpec) -> int:
    return 1
