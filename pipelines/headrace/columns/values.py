"""Read Arrow columns as values with a mask of what is missing, one kind of column at a time.

Kinds of raw columns, each with one way to be *missing*; binding for every execution of a transform:
  integer    int64; null is missing, and so is -2**63, which stands for null in a tensor.
  real       float64; null, NaN and the infinities are missing, subnormal numbers are 0.
  timestamp  int64 microseconds since 1970-01-01 UTC; missing as for integers.
  string     UTF-8; null is missing, the empty string is a value.
  bytes      an image file (PNG or JPEG); null is missing.
  integers, reals, strings
             a list of such values; a null list is an empty one, a null element stays in its place.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RawKind = Literal["integer", "real", "timestamp", "string", "bytes", "integers", "reals", "strings"]
StoredType = Literal["integer", "real", "timestamp", "string", "boolean"]
"""Type of a raw column whose values lie beside the rows of a dataset."""
MISSING_INTEGER = -(2**63)
ELEMENT_KINDS: dict[str, RawKind] = {"integers": "integer", "reals": "real", "strings": "string"}
"""Kind of a list column -> kind of its elements."""
_ARROW_TYPES = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "timestamp": pa.int64(),
    "string": pa.string(),
    "bytes": pa.binary(),
}


@dataclass(frozen=True)
class Values:
    """A raw or derived column.

    Attributes:
        kind: kind of the column; of a list column, the list kind.
        array: NumPy int64 or float64 of shape (n,); an Arrow string or binary array, or a
            dictionary of strings, of length n; of a list column an Arrow array of all elements.
        missing: bool of shape (n,), of a list column of all its elements; where it is true, `array`
            holds nothing of meaning.
        offsets: of a list column int64 (n + 1,): row i has elements offsets[i] to offsets[i + 1].
    """

    kind: RawKind
    array: Any
    missing: np.ndarray
    offsets: np.ndarray | None = None

    @property
    def is_list(self) -> bool:
        """Return whether this is a list column."""
        return self.kind in ELEMENT_KINDS

    @property
    def elements(self) -> "Values":
        """Return the elements of a list column as a column of their own."""
        return Values(ELEMENT_KINDS[self.kind], self.array, self.missing)

    @property
    def scalars(self) -> "Values":
        """Return the elements of a list column, and any other column as it is."""
        return self.elements if self.is_list else self

    def to_float64(self) -> np.ndarray:
        """Return the numbers as float64 of shape (n,)."""
        return np.asarray(self.array, dtype=np.float64)

    def encode_texts(self) -> tuple[pa.Array, np.ndarray]:
        """Return distinct texts, a string array, and each value's position among them, int32 (n,).

        Numbers go by their decimal text. Positions of missing values are without meaning, but valid
        where there is any text at all.
        """
        array = self.array
        if isinstance(array, np.ndarray):
            array = pa.array(array)
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        texts = array.dictionary
        if texts.type != pa.string():
            texts = pc.cast(texts, pa.string())
        return texts, pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)


def read_column(array: "pa.Array | pa.ChunkedArray", kind: RawKind) -> Values:
    """Cast an Arrow column to its kind and mark what is missing.

    Raises:
        pyarrow.ArrowInvalid: a value does not cast.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if kind in ELEMENT_KINDS:
        return _read_list_column(array, kind)
    array = _cast_to_kind(array, kind)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    if kind in ("string", "bytes"):
        return Values(kind, array, missing)
    numbers = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
    if kind == "real":
        missing = missing | ~np.isfinite(numbers)
        # TensorFlow flushes subnormal numbers to 0, so they are 0 here, too.
        numbers = np.where(np.abs(numbers) < np.finfo(np.float64).tiny, 0.0, numbers)
    else:
        missing = missing | (numbers == MISSING_INTEGER)
    return Values(kind, numbers, missing)


def _cast_to_kind(array: pa.Array, kind: str) -> pa.Array:
    is_encoded_text = pa.types.is_dictionary(array.type) and kind == "string"
    if is_encoded_text or array.type == _ARROW_TYPES[kind]:
        return array
    if kind == "real" and pa.types.is_integer(array.type):
        return pc.cast(array, pa.float64(), safe=False)  # beyond 2**53 the nearest double will do
    if kind == "timestamp" and (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
        return pc.cast(pc.cast(array, pa.timestamp("us"), safe=False), pa.int64())
    return pc.cast(array, _ARROW_TYPES[kind])


def _read_list_column(array: pa.Array, kind: RawKind) -> Values:
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    elements = read_column(pc.list_flatten(array), ELEMENT_KINDS[kind])
    return Values(kind, elements.array, elements.missing, offsets)
