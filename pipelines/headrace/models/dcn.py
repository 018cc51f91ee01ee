"""Deep and cross network, version 2: inputs multiplied with each other (arXiv:2008.13535).

x(l + 1) = x(0) * (W x(l) + b) + x(l): after l layers the products of up to l + 1 inputs.
"""

import keras

from headrace.models.inputs import Tensors, flat_inputs, regularizer, side_by_side
from headrace.models.mlp import hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def dcn(model: s.Dcn, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Cross layers and dense layers side by side, float32 (batch, inputs + hidden[-1])."""
    first = side_by_side(flat_inputs(model, inputs, spec))
    crossed = first
    for number in range(model.crosses):
        weighted = keras.layers.Dense(
            first.shape[-1],
            kernel_initializer=model.initializer,
            kernel_regularizer=regularizer(model),
            name=f"cross.{number}",
        )(crossed)
        product = keras.layers.Multiply(name=f"cross.{number}.product")([first, weighted])
        crossed = keras.layers.Add(name=f"cross.{number}.added")([product, crossed])
    deep = hidden_layers(model, first)
    return keras.layers.Concatenate(name="cross.deep")([crossed, deep])
