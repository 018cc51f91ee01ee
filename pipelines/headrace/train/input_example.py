"""Make the raw rows that are logged as a model's input example, from the fitted transform alone."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from headrace.columns.values import ELEMENT_KINDS, RawKind
from headrace.features.kind import FittedFeature
from headrace.features.kinds import find_feature_kind, get_form
from headrace.transform.spec import RawColumn, TransformSpec

if TYPE_CHECKING:
    import pandas as pd

_TIMES = ("2013-01-01T12:00:00Z", "2013-07-01T18:30:00Z")
_LARGEST = 2**63 - 1  # of int64


def make_example_rows(spec: TransformSpec) -> "pd.DataFrame":
    """Make three raw rows: typical values, then other values, then nulls where they are allowed.

    Integers are Python's, beside None; timestamps are ISO 8601 strings, which survive JSON; lists
    are Python lists; images are PNG files.
    """
    import pandas as pd

    readers: dict[str, FittedFeature] = {}  # the first of each column
    for feature in spec.features:
        for name in feature.source_columns:
            readers.setdefault(name, feature)
    columns: dict[str, Any] = {}
    for raw in spec.raw:
        first, second = _choose_values(raw, readers.get(raw.name))
        values = [first, second, None if raw.nullable else first]
        columns[raw.name] = pd.Series(values, dtype=_choose_dtype(raw))
    return pd.DataFrame(columns)


def _choose_dtype(raw: RawColumn) -> str:
    # Not float64 for integers beside a null: the signature takes them as they come.
    return "float64" if raw.kind == "real" else "object"


def _choose_values(raw: RawColumn, feature: FittedFeature | None) -> tuple[Any, Any]:
    """Return two values of the column, typical for the feature that reads it."""
    if raw.kind == "timestamp":
        return _TIMES
    if raw.kind == "bytes":
        shape = feature.shape if feature and get_form(feature) == "image" else (1, 1, 1)
        return _encode_png(shape, 0), _encode_png(shape, 255)
    in_lists = raw.kind in ELEMENT_KINDS
    values = None
    if feature is not None:
        values = find_feature_kind(feature).make_example_values(feature, in_lists=in_lists)
    first, second = values or _ANY_VALUES[raw.kind]
    convert = _CONVERSIONS[ELEMENT_KINDS.get(raw.kind, raw.kind)]
    if in_lists:
        return [convert(value) for value in first], [convert(value) for value in second]
    return convert(first), convert(second)


def _convert_to_integer(value: Any) -> int:
    number = int(value) if isinstance(value, str) else round(value)
    return max(-_LARGEST, min(_LARGEST, number))


def _encode_png(shape: tuple[int, ...], level: int) -> bytes:
    encoded: bytes = tf.io.encode_png(np.full(shape, level, np.uint8)).numpy()
    return encoded


_ANY_VALUES: dict[RawKind, tuple[Any, Any]] = {
    "integer": (1, 2),
    "real": (1.0, 2.0),
    "string": ("example", ""),
    "integers": ([1, 2], []),
    "reals": ([1.0, 2.0], []),
    "strings": (["example"], []),
}
_CONVERSIONS: dict[RawKind, Callable[[Any], Any]] = {
    "integer": _convert_to_integer,
    "real": float,
    "string": str,
}
