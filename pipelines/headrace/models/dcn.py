"""Build a deep and cross network, version 2: inputs are multiplied (arXiv:2008.13535).

x(l + 1) = x(0) * (W x(l) + b) + x(l): after l layers the products of up to l + 1 inputs.
"""

import keras

from headrace.models.inputs import Tensors, flatten_inputs, join_features, make_regularizer
from headrace.models.mlp import add_hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def build_dcn(model: s.Dcn, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return cross layers beside dense layers, float32 (batch, columns + hidden[-1]).

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them.
    """
    first = join_features(flatten_inputs(model, inputs, spec))
    crossed = first
    for number in range(model.crosses):
        weighted = keras.layers.Dense(
            first.shape[-1],
            kernel_initializer=model.initializer,
            kernel_regularizer=make_regularizer(model),
            name=f"cross.{number}",
        )(crossed)
        product = keras.layers.Multiply(name=f"cross.{number}.product")([first, weighted])
        crossed = keras.layers.Add(name=f"cross.{number}.added")([product, crossed])
    deep = add_hidden_layers(model, first)
    return keras.layers.Concatenate(name="cross.deep")([crossed, deep])
