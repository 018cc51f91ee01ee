"""The recipe's keys about the network."""

from typing import Annotated, Literal

from pydantic import Field

from pipelines.recipe.base import Count, Section

Activation = Literal["relu", "gelu", "tanh", "sigmoid", "elu", "selu", "silu"]
Initializer = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"]


class _Network(Section):
    """What every family has: how its layers start, and its defences against overfitting."""

    activation: Activation = "relu"
    initializer: Initializer = "glorot_uniform"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l1: Annotated[float, Field(ge=0)] = 0.0
    l2: Annotated[float, Field(ge=0)] = 0.0
    embedding_width: Count = 16
    """Largest width; a feature of n ids gets the smaller of this and ceil(sqrt(n))."""


class Mlp(_Network):
    """Dense layers over all inputs: numbers, one embedding a categorical, the mean of a list's
    embeddings, and images and series flattened."""

    kind: Literal["mlp"]
    hidden: Annotated[list[Count], Field(min_length=1)] = [128, 64]


class Cnn(_Network):
    """Convolutions with pooling over one image, then dense layers with the other inputs beside."""

    kind: Literal["cnn"]
    filters: Annotated[list[Count], Field(min_length=1)] = [32, 64]
    """One block a number: two 3 x 3 convolutions, then 2 x 2 max pooling while there is room."""
    hidden: list[Count] = [64]


class Rnn(_Network):
    """Recurrent layers over the series of one length, then dense layers with the others beside.

    Cells keep tanh and sigmoid, as cuDNN has them; `activation` is that of the dense layers.
    """

    kind: Literal["rnn"]
    cell: Literal["lstm", "gru"] = "gru"
    units: Annotated[list[Count], Field(min_length=1)] = [64]
    hidden: list[Count] = [32]


class Transformer(_Network):
    """A Transformer encoder over the series of one length, pooled, then dense layers."""

    kind: Literal["transformer"]
    blocks: Count = 2
    heads: Count = 4
    width: Count = 64
    """Of the residual stream; a multiple of `heads`."""
    pool: Literal["mean", "last"] = "mean"
    """What the dense layers get of the steps: their mean, or the last one. In a forecast that is
    the present, which a mean hides."""
    hidden: list[Count] = [32]


Model = Annotated[Mlp | Cnn | Rnn | Transformer, Field(discriminator="kind")]
