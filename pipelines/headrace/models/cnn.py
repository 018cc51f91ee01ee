"""Build a convolutional network over one image; other inputs join before the dense layers."""

import keras

from headrace.models.inputs import (
    Tensors,
    flatten_inputs,
    join_features,
    make_regularizer,
    scale_image,
)
from headrace.models.mlp import add_hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec


def build_cnn(model: s.Cnn, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the last layer before the head, float32 (batch, units).

    A block is two 3 x 3 convolutions with padding, then 2 x 2 max pooling where both sides still
    have two pixels (Simonyan and Zisserman 2015, configuration B), then dropout.

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them; it has one image.
    """
    (image,) = spec.select_features("image")
    tensor = scale_image(image, inputs[image.name])
    for number, filters in enumerate(model.filters):
        for layer in (0, 1):
            tensor = keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                activation=model.activation,
                kernel_initializer=model.initializer,
                kernel_regularizer=make_regularizer(model),
                name=f"block.{number}.convolution.{layer}",
            )(tensor)
        if min(tensor.shape[1:3]) >= 2:
            tensor = keras.layers.MaxPooling2D(2, name=f"block.{number}.pooling")(tensor)
        if model.dropout:
            tensor = keras.layers.Dropout(model.dropout, name=f"block.{number}.dropout")(tensor)
    flat = keras.layers.Flatten(name=f"flat.{image.name}")(tensor)
    others = flatten_inputs(model, inputs, spec, without=(image.name,))
    return add_hidden_layers(model, join_features([flat, *others]))
