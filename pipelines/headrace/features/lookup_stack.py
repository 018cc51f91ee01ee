"""Look the texts of many vocabularies up in a graph at once, as `lookup` does those of one.

All vocabularies are in one table, whose keys are the position of the vocabulary and the text. A
table each would be built, saved and initialized by itself: eight hundred of them took most of the
time that a model with as many columns takes to load.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.features.kind import FIRST_UNKNOWN_ID, MISSING_ID

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable

_SEPARATOR = "\x1f"
"""After a position, which is decimal digits, so that no other position and text give the key."""


def build_joint_table(
    vocabularies: Sequence[Sequence[str]], unknown_ids: int
) -> "LookupTable | None":
    """Return a table from position and text to id, -1 for others; None where there are no texts.

    Args:
        vocabularies: the texts of each, in the order of their ids.
        unknown_ids: how many ids other texts share, in each of them.
    """
    import tensorflow as tf

    first = FIRST_UNKNOWN_ID + unknown_ids
    keys = [
        f"{position}{_SEPARATOR}{text}".encode()
        for position, texts in enumerate(vocabularies)
        for text in texts
    ]
    if not keys:
        return None
    ids = [first + number for texts in vocabularies for number in range(len(texts))]
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(keys, tf.string), tf.constant(ids, tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


def look_up_stack(
    stack: "Column",
    table: "LookupTable | None",
    unknown_ids: int,
    fills: Sequence[str | None],
) -> "tf.Tensor":
    """Return the ids of the texts of columns, int32 (batch, columns).

    Args:
        stack: columns of texts, or of integers, which go by their decimal text, (batch, columns).
        table: of `build_joint_table`, of a vocabulary for each column.
        unknown_ids: how many ids other texts share.
        fills: the text that a missing value becomes, for each column; where it is None, its id is
            0.
    """
    import tensorflow as tf

    texts, missing = stack.to_texts(), stack.missing
    filled = [fill is not None for fill in fills]
    if any(filled):
        row = tf.constant([(fill or "").encode() for fill in fills], tf.string)
        texts = tf.where(tf.logical_and(missing, filled), row, texts)
        missing = tf.logical_and(missing, tf.logical_not(filled))
    ids = tf.fill(tf.shape(texts), tf.constant(FIRST_UNKNOWN_ID, tf.int64))
    if unknown_ids > 1:
        ids += tf.strings.to_hash_bucket_fast(texts, unknown_ids)
    if table is not None:
        # Sums of texts are joined texts, and a row is joined with every row of the batch.
        positions = tf.constant([f"{position}{_SEPARATOR}" for position in range(len(fills))])
        known_ids = table.lookup(positions + texts)
        ids = tf.where(known_ids >= 0, known_ids, ids)
    ids = tf.where(missing, tf.constant(MISSING_ID, tf.int64), ids)
    return tf.cast(ids, tf.int32)
