"""Raw rows to show with a model: what a caller may send, made from the fitted transform alone."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from headrace.transform.spec import (
    BucketsFeature,
    CyclicFeature,
    FittedFeature,
    HashFeature,
    ImageFeature,
    OnScale,
    RawColumn,
    SeriesFeature,
    TokensFeature,
    TransformSpec,
    VocabularyFeature,
)

if TYPE_CHECKING:
    import pandas as pd

_TIMES = ("2013-01-01T12:00:00Z", "2013-07-01T18:30:00Z")
_WORDS = ("example", "")
_LARGEST = 2**53  # whole numbers up to here survive a float64 column


def example_rows(spec: TransformSpec) -> "pd.DataFrame":
    """Three raw rows in the right types: typical values, then others, then nulls where allowed.

    Integers that may be null are float64, as pandas has them; timestamps are ISO 8601 texts, which
    JSON keeps, lists Python lists, images PNG files.
    """
    import pandas as pd

    columns: dict[str, Any] = {}
    for raw in spec.raw:
        readers = [f for f in spec.features if raw.name in _columns_of(f)]
        first, second = _values(raw, readers[0] if readers else None)
        values = [first, second, None if raw.nullable else first]
        columns[raw.name] = pd.Series(values, dtype=_dtype(raw))
    return pd.DataFrame(columns)


def _columns_of(feature: FittedFeature) -> tuple[str, ...]:
    return feature.columns if isinstance(feature, HashFeature) else (feature.column,)


def _dtype(raw: RawColumn) -> str:
    if raw.kind == "integer":
        return "float64" if raw.nullable else "int64"
    return "float64" if raw.kind == "real" else "object"


def _values(raw: RawColumn, feature: FittedFeature | None) -> tuple[Any, Any]:
    """Two values of the column, typical for the feature that reads it."""
    match raw.kind:
        case "timestamp":
            return _TIMES
        case "bytes":
            image = feature if isinstance(feature, ImageFeature) else None
            return _png(image, 0), _png(image, 255)
        case "integer":
            first, second = _scalars(feature, (1, 2))
            return _whole(first), _whole(second)
        case "real":
            first, second = _scalars(feature, (1.0, 2.0))
            return float(first), float(second)
        case "string":
            first, second = _scalars(feature, _WORDS)
            return str(first), str(second)
    return _lists(raw, feature)


def _scalars(feature: FittedFeature | None, others: tuple[Any, Any]) -> tuple[Any, Any]:
    match feature:
        case OnScale():
            return _number(feature, 0.0), _number(feature, 1.0)
        case CyclicFeature():
            return 0, feature.period / 2
        case BucketsFeature() if feature.boundaries:
            return feature.boundaries[0], feature.boundaries[-1]
        case VocabularyFeature() if feature.values:
            return feature.values[0], feature.values[-1]
        case TokensFeature() if feature.values:  # of a text
            return " ".join(feature.values[:3]), feature.values[-1]
    return others


def _number(feature: OnScale, scaled: float) -> float:
    """The value that the feature makes `scaled` of."""
    value = feature.center + scaled * feature.scale
    if not feature.log1p:
        return value
    # What follows is log1p's reverse, within what float64 holds.
    return math.expm1(min(value, 700.0))


def _whole(value: Any) -> int:
    number = int(value) if isinstance(value, str) else round(value)
    return max(-_LARGEST, min(_LARGEST, number))


def _lists(raw: RawColumn, feature: FittedFeature | None) -> tuple[Any, Any]:
    match feature:
        case ImageFeature():
            pixels = math.prod(feature.shape)
            return [0] * pixels, [255] * pixels
        case TokensFeature() if feature.values:
            values: list[Any] = list(feature.values[:2])
            if raw.kind != "strings":
                values = [_whole(value) for value in values]
            return values, []
        case SeriesFeature():
            numbers = [_number(feature, 0.0), _number(feature, 1.0)]
            values = [_whole(n) for n in numbers] if raw.kind == "integers" else numbers
            return (values * feature.length)[: feature.length], values[:1]
    return {"integers": [1, 2], "reals": [1.0, 2.0], "strings": ["example"]}[raw.kind], []


def _png(feature: ImageFeature | None, level: int) -> bytes:
    shape = feature.shape if feature else (1, 1, 1)
    encoded: bytes = tf.io.encode_png(np.full(shape, level, np.uint8)).numpy()
    return encoded
