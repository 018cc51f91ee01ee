"""The labels of a row of kind multi_label: one text on the way from Spark, 0s and 1s in a dataset.

The text has each label once, in order, with a separator between two; it is empty where a row has
none of them. So they are hashed, sorted and sent as any other text.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NONE = "(none)"
"""What rows without any label are counted under."""

SEPARATOR = "\x1f"
"""Between two labels of a row; no label contains it."""


def each_label(texts: "pa.Array | pa.ChunkedArray") -> pa.Array:
    """All labels of all rows, one after the other."""
    return _split(texts)[0]


def as_matrix(
    texts: "pa.Array | pa.ChunkedArray", classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """float32 (rows, classes), 1 where a row has the label; and which rows have another one.

    Args:
        texts: of the rows.
        classes: the labels that there are, in order.
    """
    labels, row = _split(texts)
    found = pc.index_in(labels, value_set=pa.array(classes, pa.string()))
    place = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    matrix = np.zeros((len(texts), len(classes)), np.float32)
    known = place >= 0
    matrix[row[known], place[known]] = 1
    other = np.zeros(len(texts), bool)
    other[row[~known]] = True
    return matrix, other


def counted_ids(label: np.ndarray) -> np.ndarray:
    """What is counted of labels (rows, classes): 1 + the position of each, 0 for rows without any.

    Args:
        label: above 0 where a row has the label.
    """
    there = label > 0
    return np.append(np.nonzero(there)[1] + 1, np.zeros((~there.any(axis=1)).sum(), np.int64))


def row_keys(label: np.ndarray) -> tuple[np.ndarray, ...]:
    """One array (rows,) or more, by which rows are sorted and told apart as by their labels.

    Args:
        label: as a dataset has it, (rows,), or (rows, classes) of 0 and 1.
    """
    if label.ndim == 1:
        return (label,)
    packed = np.packbits(label > 0, axis=1)
    whole = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    whole[:, : packed.shape[1]] = packed
    return tuple(np.ascontiguousarray(whole).view(np.uint64).T)


def _split(texts: "pa.Array | pa.ChunkedArray") -> tuple[pa.Array, np.ndarray]:
    """Labels, and the row of each."""
    plain = pc.cast(texts, pa.string())
    if isinstance(plain, pa.ChunkedArray):
        plain = plain.combine_chunks()
    lists = pc.split_pattern(plain, SEPARATOR)
    labels, row = lists.flatten(), pc.list_parent_indices(lists)
    there = pc.not_equal(labels, "")  # no label at all is split into one empty text
    return labels.filter(there), row.filter(there).to_numpy()
