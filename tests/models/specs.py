"""Build specs with inputs of every kind, and draw rows for them."""

import numpy as np

from headrace.features.hash import HashFeature
from headrace.features.image import ImageFeature
from headrace.features.kind import FittedFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.series import SeriesFeature
from headrace.features.tokens import TokensFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.spec import LabelSpec
from headrace.transform.spec import RawColumn, TransformSpec

NUMBER = ScaledFeature(name="x", column="x", center=10.0, scale=2.0, fill=10.0)
WORD = VocabularyFeature(name="w", column="w", values=("a", "b"))
HASH = HashFeature(name="h", columns=("w",), buckets=100)
TOKENS = TokensFeature(name="_tags", column="tags", length=4, values=("a", "b", "c"))
SERIES = SeriesFeature(name="tide", column="tide", length=6)
WIND = SeriesFeature(name="wind", column="wind", length=6)
IMAGE = ImageFeature(name="photo", column="photo", height=8, width=8, channels=1)
EVERY = (NUMBER, WORD, HASH, TOKENS, SERIES, WIND, IMAGE)

RAW = (
    RawColumn(name="x", kind="real", nullable=True),
    RawColumn(name="w", kind="string", nullable=True),
    RawColumn(name="tags", kind="strings", nullable=True),
    RawColumn(name="tide", kind="reals", nullable=True),
    RawColumn(name="wind", kind="reals", nullable=False),
    RawColumn(name="photo", kind="bytes", nullable=True),
)

BINARY = LabelSpec()
LABELS = LabelSpec(kind="multi_label", classes=("wet", "windy"))
CLASSES = LabelSpec(kind="classes", classes=("low", "middle", "high"))
REGRESSION = LabelSpec(kind="regression", center=5.0, scale=2.0)


def make_spec(*features: FittedFeature, label: LabelSpec = BINARY) -> TransformSpec:
    read = {
        column
        for feature in features
        for column in getattr(feature, "columns", None) or (feature.column,)
    }
    raw = tuple(column for column in RAW if column.name in read)
    return TransformSpec(raw=raw, derived=(), features=features, label=label)


def draw_inputs(spec: TransformSpec, rows: int) -> dict[str, np.ndarray]:
    """Draw values of the right dtype and shape; ids are below 4, which every feature has."""
    rng = np.random.default_rng(0)
    draw = {
        "float32": lambda shape: rng.normal(size=shape),
        "int32": lambda shape: rng.integers(0, 4, shape),
        "uint8": lambda shape: rng.integers(0, 256, shape),
    }
    return {
        name: draw[item.dtype]((rows, *item.shape)).astype(item.dtype)
        for name, item in spec.inputs.items()
    }
