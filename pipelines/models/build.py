"""From the recipe's `model` section to a Keras model; the one place that knows every family."""

import keras

from pipelines.models.mlp import mlp
from pipelines.recipe import sections as s
from pipelines.transform.spec import TransformSpec

LOGITS = "logits"


def build_model(model: s.Model, spec: TransformSpec) -> keras.Model:
    """A functional Keras model of standard layers only, so that it loads in safe mode.

    Input: dict with `numeric` float32 (batch, numeric features) and `categorical` int32 (batch,
    categorical features); a group without features is left out.
    Output: `probability` float32 (batch,), the sigmoid of the layer named `logits`.
    """
    inputs: dict[str, keras.KerasTensor] = {}
    if spec.numeric:
        inputs["numeric"] = keras.Input((len(spec.numeric),), dtype="float32", name="numeric")
    if spec.categorical:
        shape = (len(spec.categorical),)
        inputs["categorical"] = keras.Input(shape, dtype="int32", name="categorical")
    logits = keras.layers.Dense(1, name="output")(mlp(model, inputs, spec))
    logits = keras.layers.Reshape((), name=LOGITS)(logits)
    probability = keras.layers.Activation("sigmoid", name="probability")(logits)
    return keras.Model(inputs, probability, name=model.kind)


def logits_of(model: keras.Model) -> keras.Model:
    """The same weights with the output before the sigmoid, where the loss is exact."""
    return keras.Model(model.input, model.get_layer(LOGITS).output)
