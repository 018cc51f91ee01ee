"""Build the Keras model of the recipe's `model` section; only this module knows every family."""

import keras

from headrace.errors import RecipeError
from headrace.labels.spec import LabelSpec
from headrace.models.cnn import build_cnn
from headrace.models.compatibility import find_compatibility_problems
from headrace.models.custom import build_custom
from headrace.models.dcn import build_dcn
from headrace.models.dlrm import build_dlrm
from headrace.models.inputs import Tensors, make_inputs
from headrace.models.mlp import build_mlp
from headrace.models.resnet import build_resnet
from headrace.models.rnn import build_rnn
from headrace.models.transformer import build_transformer
from headrace.models.two_tower import build_two_tower
from headrace.models.wide_deep import build_wide_deep
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

LOGITS = "logits"
_HEAD_DTYPE = "float32"  # whatever the precision of the layers before the head


def build_model(model: s.Model, spec: TransformSpec) -> keras.Model:
    """Build a functional Keras model of standard layers only, so that it loads in safe mode.

    Input: dict with every one of `spec.inputs` (float32, int32 or uint8, batch first).
    Output, by the label's kind:
        binary: `probability` float32 (batch,), the sigmoid of the layer named `logits`.
        classes: `probabilities` float32 (batch, classes), the softmax of `logits`.
        multi_label: `probabilities` float32 (batch, labels), the sigmoid of `logits`.
        regression: `value` float32 (batch,), standardized as the label is; equal to `logits`.
        count: `value` float32 (batch,), the rate of events, the exponential of `logits`.

    Args:
        model: the recipe's section.
        spec: fitted transform, whose outputs the model takes.

    Raises:
        RecipeError: the family needs inputs that `spec` does not have.
    """
    problems = find_compatibility_problems(model, spec)
    if problems:
        raise RecipeError(f"section model (kind {model.kind})", problems, "no model was built")
    inputs = make_inputs(spec)
    network = _build_network(model, inputs, spec)
    if isinstance(model, s.TwoTower):  # whose score has no weights behind it
        output = _activate(spec.label, network)
    else:
        output = _build_head(spec.label, network)
    return keras.Model(inputs, output, name=model.kind)


def build_logits_model(model: keras.Model) -> keras.Model:
    """Return a model with the same weights that ends before sigmoid or softmax.

    The loss of logits is exact where that of probabilities is rounded to 0 or 1.
    """
    return keras.Model(model.input, model.get_layer(LOGITS).output)


def _build_network(model: s.Model, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    match model:
        case s.Mlp():
            return build_mlp(model, inputs, spec)
        case s.WideDeep():
            return build_wide_deep(model, inputs, spec)
        case s.Dcn():
            return build_dcn(model, inputs, spec)
        case s.Dlrm():
            return build_dlrm(model, inputs, spec)
        case s.TwoTower():
            return build_two_tower(model, inputs, spec)
        case s.Resnet():
            return build_resnet(model, inputs, spec)
        case s.Python():
            return build_custom(model, inputs, spec)
        case s.Cnn():
            return build_cnn(model, inputs, spec)
        case s.Rnn():
            return build_rnn(model, inputs, spec)
        case s.Transformer():
            return build_transformer(model, inputs, spec)


def _build_head(label: LabelSpec, tensor: keras.KerasTensor) -> keras.KerasTensor:
    if label.classes:
        logits = keras.layers.Dense(len(label.classes), dtype=_HEAD_DTYPE, name=LOGITS)(tensor)
    else:
        numbers = keras.layers.Dense(1, dtype=_HEAD_DTYPE, name="output.dense")(tensor)
        return _activate(label, numbers)
    return _add_activation(label, logits)


def _activate(label: LabelSpec, numbers: keras.KerasTensor) -> keras.KerasTensor:
    """Return the output for one number a row, (batch, 1)."""
    logits = keras.layers.Reshape((), dtype=_HEAD_DTYPE, name=LOGITS)(numbers)
    return _add_activation(label, logits)


def _add_activation(label: LabelSpec, logits: keras.KerasTensor) -> keras.KerasTensor:
    kind = label.definition
    return keras.layers.Activation(kind.activation, dtype=_HEAD_DTYPE, name=kind.output)(logits)
