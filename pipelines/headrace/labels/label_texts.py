"""Encode the labels of kind multi_label: one text per row on the way from Spark, then 0s and 1s.

The text has each label of the row once, in order, with a separator between two; it is empty where a
row has no label. So the labels of a row are hashed, sorted and sent as any other text.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NONE = "(none)"
"""The bin in which rows without any label are counted."""

SEPARATOR = "\x1f"
"""Between two labels of a row; no label contains it."""


def list_labels(texts: "pa.Array | pa.ChunkedArray") -> pa.Array:
    """Return the labels of all rows, one after the other."""
    return _split_texts(texts)[0]


def encode_labels(
    texts: "pa.Array | pa.ChunkedArray", classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of rows as 0s and 1s.

    Args:
        texts: labels of the rows, (rows,).
        classes: the labels of the spec, in order.

    Returns:
        float32 (rows, classes), 1 where a row has the label; and which rows have a label that is
        not among `classes`, bool (rows,).
    """
    labels, rows = _split_texts(texts)
    positions = pc.index_in(labels, value_set=pa.array(classes, pa.string()))
    positions = pc.fill_null(positions, -1).to_numpy(zero_copy_only=False)
    matrix = np.zeros((len(texts), len(classes)), np.float32)
    in_spec = positions >= 0
    matrix[rows[in_spec], positions[in_spec]] = 1
    has_unseen = np.zeros(len(texts), bool)
    has_unseen[rows[~in_spec]] = True
    return matrix, has_unseen


def list_label_bins(label: np.ndarray) -> np.ndarray:
    """Return the bins in which labels are counted, one per label of a row.

    Args:
        label: above 0 where a row has the label, (rows, classes).

    Returns:
        int64 (bins,): 1 + the position of each label; then a 0 for each row without any.
    """
    has_label = label > 0
    empty_rows = int((~has_label.any(axis=1)).sum())
    return np.append(np.nonzero(has_label)[1] + 1, np.zeros(empty_rows, np.int64))


def make_sort_keys(label: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return keys that sort rows by their label and are equal exactly where the labels are.

    Args:
        label: as a dataset has it, (rows,), or (rows, classes) of 0 and 1.

    Returns:
        one array (rows,), or one uint64 array (rows,) per 64 labels.
    """
    if label.ndim == 1:
        return (label,)
    packed = np.packbits(label > 0, axis=1)
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return tuple(np.ascontiguousarray(padded).view(np.uint64).T)


def _split_texts(texts: "pa.Array | pa.ChunkedArray") -> tuple[pa.Array, np.ndarray]:
    """Return the labels of all rows, and the row of each label."""
    plain = pc.cast(texts, pa.string())
    if isinstance(plain, pa.ChunkedArray):
        plain = plain.combine_chunks()
    lists = pc.split_pattern(plain, SEPARATOR)
    labels, rows = lists.flatten(), pc.list_parent_indices(lists)
    is_label = pc.not_equal(
        labels, ""
    )  # the text of a row without labels splits into one empty one
    return labels.filter(is_label), rows.filter(is_label).to_numpy()
