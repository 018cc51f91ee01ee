"""Build a small residual network over one image, that of He et al. 2016 for 32 x 32 pixels.

Every convolution is followed by batch normalization; where a stage halves the image, a 1 x 1
convolution brings the residual stream into its shape (their option B).
"""

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


def build_resnet(model: s.Resnet, inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """Return the mean over the last stage's pixels and the other inputs, after the dense layers.

    Args:
        model: the recipe's section.
        inputs: Keras inputs by name, of `make_inputs`.
        spec: fitted transform, which names them; it has one image.
    """
    (image,) = spec.select_features("image")
    tensor = scale_image(image, inputs[image.name])
    tensor = _add_convolution(model, tensor, model.filters[0], 3, 1, "stem")
    tensor = keras.layers.Activation(model.activation, name="stem.activation")(tensor)
    for stage, filters in enumerate(model.filters):
        for block in range(model.blocks):
            stride = 2 if stage and not block else 1
            tensor = _add_block(model, tensor, filters, stride, f"stage.{stage}.{block}")
    tensor = keras.layers.GlobalAveragePooling2D(name="mean.pixels")(tensor)
    if model.dropout:
        tensor = keras.layers.Dropout(model.dropout, name="mean.dropout")(tensor)
    others = flatten_inputs(model, inputs, spec, without=(image.name,))
    return add_hidden_layers(model, join_features([tensor, *others]))


def _add_block(
    model: s.Resnet, tensor: keras.KerasTensor, filters: int, stride: int, name: str
) -> keras.KerasTensor:
    part = _add_convolution(model, tensor, filters, 3, stride, f"{name}.first")
    part = keras.layers.Activation(model.activation, name=f"{name}.first.activation")(part)
    part = _add_convolution(model, part, filters, 3, 1, f"{name}.second")
    if stride > 1 or tensor.shape[-1] != filters:
        tensor = _add_convolution(model, tensor, filters, 1, stride, f"{name}.stream")
    added = keras.layers.Add(name=f"{name}.added")([tensor, part])
    return keras.layers.Activation(model.activation, name=f"{name}.activation")(added)


def _add_convolution(
    model: s.Resnet, tensor: keras.KerasTensor, filters: int, side: int, stride: int, name: str
) -> keras.KerasTensor:
    tensor = keras.layers.Conv2D(
        filters,
        side,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=model.initializer,
        kernel_regularizer=make_regularizer(model),
        name=name,
    )(tensor)
    return keras.layers.BatchNormalization(name=f"{name}.normalize")(tensor)
