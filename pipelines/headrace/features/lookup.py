"""Look texts up in a fitted vocabulary, alike on Arrow values and on tensors.

Id 0 is missing; then come `unknown_ids` ids for texts that are not in the vocabulary (the first
plus fingerprint64 modulo their number), then the texts of the vocabulary by position. On Arrow
values a text is looked up once per distinct value of the batch.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
from pydantic import Discriminator, Tag

from headrace.columns.statistics import NumberSummary, TextCounts
from headrace.columns.values import Values
from headrace.features.fingerprints import take_ids
from headrace.features.kind import FIRST_UNKNOWN_ID, MISSING_ID, CountLimits
from headrace.features.stored_texts import StoredTextCounts, StoredTexts, is_stored
from headrace.features.text_hashes import fingerprint_texts
from headrace.features.text_index import TextIndex

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable

SHOWN_TEXTS = 10
"""Texts of a vocabulary that the data report names, the most frequent."""


Texts = tuple[str, ...] | StoredTexts
"""The texts of a vocabulary, in the order of their ids: of many, where they lie."""
if TYPE_CHECKING:
    FittedTexts = Texts
else:
    # Told apart before they are read: a file is a sequence too, which nobody should read through.
    FittedTexts = Annotated[
        Annotated[tuple[str, ...], Tag("inline")] | Annotated[StoredTexts, Tag("stored")],
        Discriminator(lambda value: "stored" if is_stored(value) else "inline"),
    ]
    """The texts of a vocabulary as pydantic checks them."""


def fit_vocabulary(counts: NumberSummary | TextCounts, limits: CountLimits) -> Texts:
    """Return the counted texts within the limits, most frequent first."""
    assert isinstance(counts, TextCounts)
    if isinstance(counts, StoredTextCounts):
        return counts.select_texts(limits)
    return tuple(text for text, _ in counts.list_most_frequent(limits.min_count, limits.max_size))


def count_ids(unknown_ids: int, values: Sequence[str]) -> int:
    """Return how many ids a vocabulary has, those of missing and unknown texts included."""
    return FIRST_UNKNOWN_ID + unknown_ids + len(values)


def build_text_index(values: Texts) -> TextIndex:
    """Return the index of a vocabulary's texts."""
    if isinstance(values, StoredTexts):
        return values.open_index()
    return TextIndex.from_texts(pa.array(values, pa.string()))


def list_text_chunks(values: Texts) -> Iterator[pa.Array]:
    """Yield a vocabulary's texts in the order of their ids, some at once, as string arrays."""
    if isinstance(values, StoredTexts):
        yield from values.list_chunks()
    else:
        yield pa.array(values, pa.string())


def look_up_texts(
    values: Values, vocabulary: TextIndex, unknown_ids: int = 1, fill: str | None = None
) -> np.ndarray:
    """Return the ids of a column's texts, int32 (n,).

    Args:
        values: a column of texts, or of numbers, which go by their decimal text.
        vocabulary: the texts that have ids of their own.
        unknown_ids: how many ids texts out of the vocabulary share.
        fill: the text that a missing value becomes; by default it has id 0.
    """
    texts, codes = values.encode_texts()
    ids = _look_up_distinct(texts, vocabulary, unknown_ids)
    missing_id = MISSING_ID
    if fill is not None:
        missing_id = int(_look_up_distinct(pa.array([fill]), vocabulary, unknown_ids)[0])
    return np.where(values.missing, missing_id, take_ids(ids, codes)).astype(np.int32)


def _look_up_distinct(texts: pa.Array, vocabulary: TextIndex, unknown_ids: int) -> np.ndarray:
    position = vocabulary.find_positions(texts)
    ids = position + FIRST_UNKNOWN_ID + unknown_ids
    unknown = np.flatnonzero(position < 0)
    if len(unknown):
        ids[unknown] = FIRST_UNKNOWN_ID
        if unknown_ids > 1:
            hashes = fingerprint_texts(texts.take(pa.array(unknown)))
            ids[unknown] += (hashes % np.uint64(unknown_ids)).astype(np.int64)
    return ids


def build_lookup_table(values: Texts, unknown_ids: int) -> "LookupTable | None":
    """Return a table from text to id, -1 for others; None of an empty vocabulary."""
    import tensorflow as tf

    if not values:
        return None
    if isinstance(values, StoredTexts):
        from headrace.features.text_table import TextTable

        return TextTable(values.open_index(), FIRST_UNKNOWN_ID + unknown_ids)
    keys = tf.constant([value.encode() for value in values], tf.string)
    first = FIRST_UNKNOWN_ID + unknown_ids
    ids = tf.range(first, first + len(values), dtype=tf.int64)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, ids), default_value=-1
    )


def look_up_text_tensors(
    column: "Column",
    table: "LookupTable | None",
    unknown_ids: int,
    fill: str | None = None,
) -> "tf.Tensor":
    """Return the ids of a column's texts as `look_up_texts` does, int32."""
    import tensorflow as tf

    texts, missing = column.to_texts(), column.missing
    if fill is not None:
        texts = tf.where(missing, tf.constant(fill.encode()), texts)
    ids = tf.fill(tf.shape(texts), tf.constant(FIRST_UNKNOWN_ID, tf.int64))
    if unknown_ids > 1:
        ids += tf.strings.to_hash_bucket_fast(texts, unknown_ids)
    if table is not None:
        known_ids = table.lookup(texts)
        ids = tf.where(known_ids >= 0, known_ids, ids)
    if fill is None:
        ids = tf.where(missing, tf.constant(MISSING_ID, tf.int64), ids)
    return tf.cast(ids, tf.int32)
