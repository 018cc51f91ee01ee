"""Read raw tensors as columns with a mask of what is missing: the counterpart of `columns.values`.

A TensorFlow tensor has no nulls, so that each kind of column encodes *missing* as a value:
`MISSING_INTEGER` in int64, NaN (or an infinity) in float64, and in strings and bytes the one byte
0xFF, which is no UTF-8 text and no image file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from headrace.columns.values import ELEMENT_KINDS, MISSING_INTEGER, RawKind

if TYPE_CHECKING:
    import tensorflow as tf

MISSING_STRING = b"\xff"
TENSOR_DTYPES: Mapping[RawKind, str] = {
    "integer": "int64",
    "real": "float64",
    "timestamp": "int64",
    "string": "string",
    "bytes": "string",
    "integers": "int64",
    "reals": "float64",
    "strings": "string",
}


class LookupTable(Protocol):
    """A table in a graph: `tf.lookup.StaticHashTable` is one."""

    def lookup(self, texts: "tf.Tensor") -> "tf.Tensor":
        """Return the ids of texts, int64 of their shape; -1 of others."""
        ...


@dataclass(frozen=True)
class Column:
    """A column: (batch,) or, of list kinds, (batch, width).

    Attributes:
        kind: kind of the column.
        tensor: its values, 0 or "" where a raw one is missing.
        missing: bool, of the same shape.
    """

    kind: RawKind
    tensor: "tf.Tensor"
    missing: "tf.Tensor"

    def to_float64(self) -> "tf.Tensor":
        """Return the numbers as float64."""
        import tensorflow as tf

        return tf.cast(self.tensor, tf.float64)

    def to_texts(self) -> "tf.Tensor":
        """Return the values as texts, numbers in decimal."""
        import tensorflow as tf

        tensor = self.tensor
        return tensor if tensor.dtype == tf.string else tf.strings.as_string(tensor)


@dataclass(frozen=True)
class Block:
    """Columns of a dataset that were computed together.

    Attributes:
        names: of the columns.
        tensor: their values, (batch, columns).
    """

    names: tuple[str, ...]
    tensor: "tf.Tensor"


def read_tensor(tensor: "tf.Tensor", kind: RawKind, empty_is_missing: bool = False) -> Column:
    """Mark what is missing in a raw tensor."""
    import tensorflow as tf

    element = ELEMENT_KINDS.get(kind, kind)
    if element in ("string", "bytes"):
        missing = tf.equal(tensor, MISSING_STRING)
        if empty_is_missing:
            missing = tf.logical_or(missing, tf.equal(tensor, b""))
        return Column(kind, tf.where(missing, tf.constant(b""), tensor), missing)
    if element == "real":
        missing = tf.logical_not(tf.math.is_finite(tensor))
    else:
        missing = tf.equal(tensor, tf.constant(MISSING_INTEGER, tf.int64))
    return Column(kind, tf.where(missing, tf.zeros_like(tensor), tensor), missing)
