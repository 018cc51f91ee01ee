"""Hash texts into ids alike on Arrow values and on tensors, see `text_hashes`.

On Arrow values a text is hashed once per distinct value of the batch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import Values
from headrace.features.kind import MISSING_ID
from headrace.features.text_hashes import fingerprint_texts

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column

SEPARATOR = "\x1f"
"""Between the texts of crossed columns."""


def hash_columns(columns: Sequence[Values], buckets: int) -> np.ndarray:
    """Return ids of one column, or of several crossed, int32 (n,).

    An id is 1 + the fingerprint of the texts joined by `SEPARATOR`, modulo `buckets`; 0 where any
    column is missing. Every distinct text, or crossed text, is hashed once.
    """
    missing = np.logical_or.reduce([c.missing for c in columns])
    texts, codes = columns[0].encode_texts()
    for column in columns[1:]:
        right_texts, right_codes = column.encode_texts()
        width = max(len(right_texts), 1)
        pairs, codes = np.unique(codes.astype(np.int64) * width + right_codes, return_inverse=True)
        left = texts.take(pa.array(pairs // width)) if len(texts) else texts
        right = right_texts.take(pa.array(pairs % width)) if len(right_texts) else right_texts
        if not len(texts) or not len(right_texts):  # one of the columns is missing everywhere
            return np.zeros(len(missing), np.int32)
        texts = pc.binary_join_element_wise(left, right, SEPARATOR)
    ids = 1 + fingerprint_texts(texts) % np.uint64(buckets)
    return np.where(missing, MISSING_ID, take_ids(ids, codes)).astype(np.int32)


def take_ids(ids: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the id of each row's text; 0 everywhere where there is no text at all."""
    return ids[codes] if len(ids) else np.zeros(len(codes), np.int64)


def hash_column_tensors(columns: "Sequence[Column]", buckets: int) -> "tf.Tensor":
    """Return ids of one column, or of several crossed, as `hash_columns` does, int32."""
    import tensorflow as tf

    texts, missing = columns[0].to_texts(), columns[0].missing
    for column in columns[1:]:
        texts = tf.strings.join([texts, column.to_texts()], SEPARATOR)
        missing = tf.logical_or(missing, column.missing)
    ids = 1 + tf.strings.to_hash_bucket_fast(texts, buckets)
    return tf.cast(tf.where(missing, tf.constant(MISSING_ID, tf.int64), ids), tf.int32)
