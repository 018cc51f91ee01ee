"""Bring lists of a column to one length, on Arrow values and on tensors."""

from typing import TYPE_CHECKING

import numpy as np

from headrace.columns.values import ELEMENT_KINDS, Values

if TYPE_CHECKING:
    from headrace.features.tensors import Column


def pad_lists(lists: Values, elements: np.ndarray, length: int, padding: object) -> np.ndarray:
    """Return a row of `length` elements per list, truncated or padded at the end.

    Args:
        lists: a list column of n rows.
        elements: a value per element of it.
        length: of every row.
        padding: value of elements that are not there.

    Returns:
        dtype of `elements`, shape (n, length).
    """
    assert lists.offsets is not None
    counts = np.minimum(np.diff(lists.offsets), length)
    out = np.full((len(counts), length), padding, elements.dtype)
    position = np.arange(length)
    is_element = position < counts[:, None]
    out[is_element] = elements[(lists.offsets[:-1, None] + position)[is_element]]
    return out


def pad_list_tensors(column: "Column", length: int) -> "Column":
    """Return the list column with exactly `length` elements per row, further ones missing."""
    import tensorflow as tf

    from headrace.features.tensors import Column

    width = tf.maximum(length - tf.shape(column.tensor)[1], 0)
    margin = [[0, 0], [0, width]]
    tensor = tf.pad(column.tensor, margin)[:, :length]
    missing = tf.pad(column.missing, margin, constant_values=True)[:, :length]
    return Column(
        ELEMENT_KINDS[column.kind],
        tf.ensure_shape(tensor, (None, length)),
        tf.ensure_shape(missing, (None, length)),
    )
