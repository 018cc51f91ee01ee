"""Execute a `TransformSpec` on Arrow batches: pyarrow and NumPy kernels, no Spark, no TensorFlow.

Nothing works row by row: text is looked up with `index_in`, and hashed once per distinct value of
the batch. The semantics are in `spec.py`; `graph.py` is the other execution of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import farmhash
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.transform.spec import (
    FIRST_ID,
    MISSING_ID,
    MISSING_INTEGER,
    UNKNOWN_ID,
    FittedFeature,
    HashFeature,
    RawKind,
    StandardizeFeature,
    TransformSpec,
    VocabularyFeature,
)

_ARROW_TYPE = {"integer": pa.int64(), "real": pa.float64(), "string": pa.string()}
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Values:
    """A raw or derived column on its way through the transform.

    Attributes:
        kind: the spec's kind.
        array: NumPy int64 or float64 of shape (n,), or an Arrow string array of length n.
        missing: bool of shape (n,); where it is true, `array` holds nothing of meaning.
    """

    kind: RawKind
    array: "np.ndarray | pa.Array"
    missing: np.ndarray


class ArrowTransform:
    """A spec made ready to run; building it costs one Arrow array a vocabulary."""

    def __init__(self, spec: TransformSpec) -> None:
        self.spec = spec
        self._vocabularies = {
            f.name: pa.array(f.values, pa.string())
            for f in spec.features
            if isinstance(f, VocabularyFeature)
        }

    def __call__(self, batch: "pa.RecordBatch | pa.Table") -> dict[str, np.ndarray]:
        """Feature name -> float32 or int32 of shape (rows,), in the spec's order.

        Raises:
            KeyError: a raw column is not in the batch.
            pyarrow.ArrowInvalid: a raw column does not cast to its kind.
        """
        columns = {raw.name: read_column(batch[raw.name], raw.kind) for raw in self.spec.raw}
        columns |= {
            d.name: derive(d.op, [columns[c] for c in d.columns]) for d in self.spec.derived
        }
        return {f.name: self._feature(f, columns) for f in self.spec.features}

    def _feature(self, feature: FittedFeature, columns: Mapping[str, Values]) -> np.ndarray:
        values = columns[feature.column]
        if isinstance(feature, StandardizeFeature):
            return standardize(values, feature.mean, feature.scale)
        if isinstance(feature, HashFeature):
            return hash_ids(values, feature.buckets)
        return vocabulary_ids(values, self._vocabularies[feature.name])


def read_column(array: "pa.Array | pa.ChunkedArray", kind: RawKind) -> Values:
    """Cast an Arrow column to its kind and find what is missing."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if kind == "real" and pa.types.is_integer(array.type):
        array = pc.cast(array, pa.float64(), safe=False)  # beyond 2**53 the nearest double will do
    else:
        array = pc.cast(array, _ARROW_TYPE[kind])
    missing = array.is_null().to_numpy(zero_copy_only=False)
    if kind == "string":
        return Values(kind, array, missing)
    numbers = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    if kind == "real":
        missing = missing | ~np.isfinite(numbers)
    else:
        missing = missing | (numbers == MISSING_INTEGER)
    return Values(kind, numbers, missing)


def derive(op: str, inputs: list[Values]) -> Values:
    """Compute a derived column; see the recipe's `derive` kinds for what each op means."""
    missing = np.logical_or.reduce([v.missing for v in inputs])
    if op == "difference":
        a, b = (_real(v) for v in inputs)
        with np.errstate(over="ignore", invalid="ignore"):
            real = a - b
        return Values("real", real, missing | ~np.isfinite(real))
    if op == "day_of_week":
        year, month, day = (_integer(v) for v in inputs)
        weekday, valid = _day_of_week(year, month, day)
        return Values("integer", weekday, missing | ~valid)
    clock = _integer(inputs[0])
    hour, minute = clock // 100, clock % 100
    valid = (clock >= 0) & (hour <= 24) & (minute < 60)
    value = hour if op == "hour_of_day" else hour * 60 + minute
    return Values("integer", value, missing | ~valid)


def standardize(values: Values, mean: float, scale: float) -> np.ndarray:
    """float32 of shape (n,); 0.0 where missing."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (_real(values) - mean) / scale
    scaled = np.clip(np.where(values.missing, 0.0, scaled), -_FLOAT32_MAX, _FLOAT32_MAX)
    return scaled.astype(np.float32)


def vocabulary_ids(values: Values, vocabulary: pa.Array) -> np.ndarray:
    """int32 of shape (n,)."""
    found = pc.index_in(_text(values), value_set=vocabulary)
    position = pc.fill_null(found, UNKNOWN_ID - FIRST_ID).to_numpy(zero_copy_only=False)
    return np.where(values.missing, MISSING_ID, position + FIRST_ID).astype(np.int32)


def hash_ids(values: Values, buckets: int) -> np.ndarray:
    """int32 of shape (n,); every distinct text is hashed once."""
    encoded = pc.fill_null(_text(values), "").dictionary_encode()
    words = encoded.dictionary.to_pylist()
    ids = np.array([1 + farmhash.fingerprint64(w.encode()) % buckets for w in words], np.int32)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    return np.where(values.missing, MISSING_ID, ids[codes]).astype(np.int32)


def _text(values: Values) -> pa.Array:
    return values.array if values.kind == "string" else pc.cast(pa.array(values.array), pa.string())


def _real(values: Values) -> np.ndarray:
    return np.asarray(values.array, dtype=np.float64)


def _integer(values: Values) -> np.ndarray:
    return np.asarray(values.array, dtype=np.int64)


def _day_of_week(
    year: np.ndarray, month: np.ndarray, day: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """ISO day of the week (1 Monday to 7 Sunday) and which dates exist, years 1 to 9999.

    Tomohiko Sakamoto's method on the proleptic Gregorian calendar.
    """
    in_range = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1)
    y, m = np.where(in_range, year, 1), np.where(in_range, month, 1)
    d = np.where(in_range & (day <= 31), day, 1)
    leap = (y % 4 == 0) & ((y % 100 != 0) | (y % 400 == 0))
    length = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[m - 1] + (leap & (m == 2))
    shift = np.array([0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4])[m - 1]
    y = y - (m < 3)
    sunday_based = (y + y // 4 - y // 100 + y // 400 + shift + d) % 7
    return np.where(sunday_based == 0, 7, sunday_based), in_range & (day <= length)
