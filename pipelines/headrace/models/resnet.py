"""A small residual network over one image, as He et al. 2016 had it for 32 x 32 pixels.

Every convolution is followed by batch normalization; where a stage halves the image, a 1 x 1
convolution brings the stream into its shape (their option B).
"""

import keras

from headrace.models.inputs import (
    Tensors,
    flat_inputs,
    regularizer,
    scaled_image,
    side_by_side,
)
from headrace.models.mlp import hidden_layers
from headrace.recipe import sections as s
from headrace.transform.spec import ImageFeature, TransformSpec


def resnet(model: s.Resnet, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """The mean over the last stage's pixels and the other inputs, through `hidden`."""
    (image,) = (f for f in spec.shaped if isinstance(f, ImageFeature))
    tensor = scaled_image(image, inputs[image.name])
    tensor = _convolution(model, tensor, model.filters[0], 3, 1, "stem")
    tensor = keras.layers.Activation(model.activation, name="stem.activation")(tensor)
    for stage, filters in enumerate(model.filters):
        for block in range(model.blocks):
            stride = 2 if stage and not block else 1
            tensor = _block(model, tensor, filters, stride, f"stage.{stage}.{block}")
    tensor = keras.layers.GlobalAveragePooling2D(name="mean.pixels")(tensor)
    if model.dropout:
        tensor = keras.layers.Dropout(model.dropout, name="mean.dropout")(tensor)
    others = flat_inputs(model, inputs, spec, without=(image.name,))
    return hidden_layers(model, side_by_side([tensor, *others]))


def _block(
    model: s.Resnet, tensor: keras.KerasTensor, filters: int, stride: int, name: str
) -> keras.KerasTensor:
    part = _convolution(model, tensor, filters, 3, stride, f"{name}.first")
    part = keras.layers.Activation(model.activation, name=f"{name}.first.activation")(part)
    part = _convolution(model, part, filters, 3, 1, f"{name}.second")
    if stride > 1 or tensor.shape[-1] != filters:
        tensor = _convolution(model, tensor, filters, 1, stride, f"{name}.stream")
    added = keras.layers.Add(name=f"{name}.added")([tensor, part])
    return keras.layers.Activation(model.activation, name=f"{name}.activation")(added)


def _convolution(
    model: s.Resnet, tensor: keras.KerasTensor, filters: int, side: int, stride: int, name: str
) -> keras.KerasTensor:
    tensor = keras.layers.Conv2D(
        filters,
        side,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=model.initializer,
        kernel_regularizer=regularizer(model),
        name=name,
    )(tensor)
    return keras.layers.BatchNormalization(name=f"{name}.normalize")(tensor)
