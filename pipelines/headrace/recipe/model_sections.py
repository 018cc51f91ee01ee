"""The recipe's keys about the network."""

from typing import Annotated, Any, Literal

from pydantic import Field

from headrace.recipe.base import declare_later_key
from headrace.recipe_section import Count, Positive, Section, Text

Activation = Literal["relu", "gelu", "tanh", "sigmoid", "elu", "selu", "silu"]
Initializer = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"]


class Embeddings(Section):
    """The tables of embeddings."""

    shared: bool = True
    """Categoricals of equal width are blocks of one table, looked up together; with false each has
    a table and a layer of its own, `embed.NAME`, as in models that an older Headrace trained."""
    compose_above: Annotated[int, Field(ge=4)] | None = None
    """A categorical of more ids has two small tables in place of one row per id, looked up by the
    quotient and the remainder of the id, whose rows are multiplied (Shi et al. 2019,
    arXiv:1909.02107): twice the root of as many rows. No two ids share both. Not in the linear part
    of `wide_deep`."""
    shard_above: Annotated[int, Field(ge=1)] | None = None
    """A table of more bytes (rows x width x 4) is split by rows over the ranks, moments with it, so
    that it may be as large as the memory of all of them. Needs an optimizer that updates by row:
    `sgd` without momentum, `adagrad`, `rowwise_adagrad`, or `sparse: lazy`. By default every rank
    has every table whole."""


class _Network(Section):
    """Settings of every family: how its layers start, and its defences against overfitting."""

    activation: Activation = "relu"
    initializer: Initializer = "glorot_uniform"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    l1: Annotated[float, Field(ge=0)] = 0.0
    l2: Annotated[float, Field(ge=0)] = 0.0
    normalize: Literal["none", "batch", "layer"] = "none"
    """Of every dense layer's output before its activation; batch is over all ranks' rows."""
    embedding_width: Count = 16
    """Largest width; a feature of n ids gets the smaller of this and ceil(sqrt(n))."""
    embeddings: Embeddings = declare_later_key(Embeddings())


class Mlp(_Network):
    """Dense layers over all inputs: numbers, one embedding a categorical, the mean of a list's
    embeddings, and images and series flattened."""

    kind: Literal["mlp"]
    hidden: Annotated[list[Count], Field(min_length=1)] = [128, 64]


class WideDeep(_Network):
    """Dense layers over all inputs, and beside them one weight a number and an id (Cheng et al.
    2016, arXiv:1606.07792)."""

    kind: Literal["wide_deep"]
    hidden: Annotated[list[Count], Field(min_length=1)] = [128, 64]


class Dcn(_Network):
    """Cross layers, which multiply inputs with each other, beside dense layers (Wang et al. 2021,
    arXiv:2008.13535)."""

    kind: Literal["dcn"]
    crosses: Count = 3
    hidden: Annotated[list[Count], Field(min_length=1)] = [128, 64]


class Dlrm(_Network):
    """A recommendation model: dense layers make a vector of the numbers, embeddings have its width,
    and dense layers get the dot products of all pairs of them (Naumov et al. 2019,
    arXiv:1906.00091). Every embedding is `embedding_width` wide, whatever the number of its ids."""

    kind: Literal["dlrm"]
    bottom: list[Count] = [64]
    """Dense layers over the numbers, before the one that is `embedding_width` wide."""
    hidden: Annotated[list[Count], Field(min_length=1)] = [128, 64]
    """Dense layers over the products and the vector of the numbers."""
    top: Literal["products", "all"] = declare_later_key("products")
    """What these layers get: as in the paper, or the numbers and all vectors themselves, too. A
    label to which features add up, each by itself, is learnt better with all."""


class Tower(Section):
    """One side of a two-tower model."""

    features: Annotated[list[Text], Field(min_length=1)]
    """Names under `features`."""
    hidden: list[Count] = [64]
    """Dense layers before the one that is `vector_width` wide."""


class TwoTower(_Network):
    """Retrieval: a vector of the query, one of the item, and their product as the score of the pair
    (Yi et al. 2019, DOI 10.1145/3298689.3346996). Rows of label 1 are pairs that belong together;
    each is learnt against the items of all rows of its batch, of all ranks, corrected by how often
    the train split has them. See docs/embeddings.md."""

    kind: Literal["two_tower"]
    query: Tower
    """The features of who or what looks for items: a user, a query, a context."""
    item: Tower
    """The features that make an item: each distinct combination of their values is one."""
    vector_width: Count = 32
    """Numbers of a vector."""
    similarity: Literal["cosine", "dot"] = "cosine"
    """Whether vectors have length 1 before they are multiplied."""
    temperature: Positive = 0.1
    """Scores are products over this."""


class Cnn(_Network):
    """Convolutions with pooling over one image, then dense layers with the other inputs beside."""

    kind: Literal["cnn"]
    filters: Annotated[list[Count], Field(min_length=1)] = [32, 64]
    """One block a number: two 3 x 3 convolutions, then 2 x 2 max pooling while there is room."""
    hidden: list[Count] = [64]


class Resnet(_Network):
    """A small residual network over one image (He et al. 2016, arXiv:1512.03385), with batch
    normalization; then dense layers with the other inputs beside."""

    kind: Literal["resnet"]
    filters: Annotated[list[Count], Field(min_length=1)] = [16, 32, 64]
    """One stage a number; each after the first halves height and width."""
    blocks: Count = 2
    """Residual blocks of a stage."""
    hidden: list[Count] = []


class Rnn(_Network):
    """Recurrent layers over the series of one length, then dense layers with the others beside.

    Cells keep tanh and sigmoid, as cuDNN has them; `activation` is that of the dense layers.
    """

    kind: Literal["rnn"]
    cell: Literal["lstm", "gru"] = "gru"
    bidirectional: bool = False
    units: Annotated[list[Count], Field(min_length=1)] = [64]
    hidden: list[Count] = [32]


class Transformer(_Network):
    """A Transformer encoder, pooled, then dense layers with what it does not read beside."""

    kind: Literal["transformer"]
    over: Literal["series", "text", "table"] = "series"
    """series: the series of one length, step by step. text: the one list of ids, word by word, what
    is filled up left out. table: the numbers and the categoricals, feature by feature (Gorishniy et
    al. 2021, arXiv:2106.11959)."""
    blocks: Count = 2
    heads: Count = 4
    width: Count = 64
    """Of the residual stream; a multiple of `heads`."""
    pool: Literal["mean", "last"] = "mean"
    """What the dense layers get of the steps: their mean, or the last one. In a forecast that is
    the present, which a mean hides."""
    hidden: list[Count] = [32]


class Python(_Network):
    """The user's own: `function(inputs, spec, **options)` gives the last hidden layer."""

    kind: Literal["python"]
    function: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
    """`module:function`; the module must be importable by every rank."""
    options: dict[str, Any] = {}
    hidden: list[Count] = []
    """Dense layers after it."""


Model = Annotated[
    Mlp | WideDeep | Dcn | Dlrm | TwoTower | Cnn | Resnet | Rnn | Transformer | Python,
    Field(discriminator="kind"),
]
