"""From the recipe's `model` section to a Keras model; the one place that knows every family."""

import keras

from headrace.errors import RecipeError
from headrace.models.cnn import cnn
from headrace.models.compatibility import fit_problems
from headrace.models.custom import own
from headrace.models.dcn import dcn
from headrace.models.inputs import Tensors, make_inputs
from headrace.models.mlp import mlp
from headrace.models.resnet import resnet
from headrace.models.rnn import rnn
from headrace.models.transformer import transformer
from headrace.models.wide_deep import wide_deep
from headrace.recipe import sections as s
from headrace.transform.spec import LabelSpec, TransformSpec

LOGITS = "logits"
_EXACT = "float32"  # of the head, whatever the precision of the layers before it
OUTPUT = {
    "binary": "probability",
    "classes": "probabilities",
    "multi_label": "probabilities",
    "regression": "value",
}
"""Name of the model's output by the label's kind."""
_END = {"binary": "sigmoid", "classes": "softmax", "multi_label": "sigmoid", "regression": "linear"}


def build_model(model: s.Model, spec: TransformSpec) -> keras.Model:
    """A functional Keras model of standard layers only, so that it loads in safe mode.

    Input: dict with every one of `spec.inputs` (float32, int32 or uint8, batch first).
    Output, by the label's kind:
        binary: `probability` float32 (batch,), the sigmoid of the layer named `logits`.
        classes: `probabilities` float32 (batch, classes), the softmax of `logits`.
        multi_label: likewise the sigmoid of each.
        regression: `value` float32 (batch,), standardized as the label is; equal to `logits`.

    Raises:
        RecipeError: the family needs inputs that `spec` does not have.
    """
    problems = fit_problems(model, spec)
    if problems:
        raise RecipeError(f"(model {model.kind})", problems)
    inputs = make_inputs(spec)
    output = _head(spec.label, _network(model, inputs, spec))
    return keras.Model(inputs, output, name=model.kind)


def logits_of(model: keras.Model) -> keras.Model:
    """The same weights with the output before sigmoid or softmax, where the loss is exact."""
    return keras.Model(model.input, model.get_layer(LOGITS).output)


def _network(model: s.Model, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    match model:
        case s.Mlp():
            return mlp(model, inputs, spec)
        case s.WideDeep():
            return wide_deep(model, inputs, spec)
        case s.Dcn():
            return dcn(model, inputs, spec)
        case s.Resnet():
            return resnet(model, inputs, spec)
        case s.Python():
            return own(model, inputs, spec)
        case s.Cnn():
            return cnn(model, inputs, spec)
        case s.Rnn():
            return rnn(model, inputs, spec)
        case s.Transformer():
            return transformer(model, inputs, spec)


def _head(label: LabelSpec, tensor: keras.KerasTensor) -> keras.KerasTensor:
    if label.classes:
        logits = keras.layers.Dense(len(label.classes), dtype=_EXACT, name=LOGITS)(tensor)
    else:
        logits = keras.layers.Dense(1, dtype=_EXACT, name="output.dense")(tensor)
        logits = keras.layers.Reshape((), dtype=_EXACT, name=LOGITS)(logits)
    end = _END[label.kind]
    return keras.layers.Activation(end, dtype=_EXACT, name=OUTPUT[label.kind])(logits)
