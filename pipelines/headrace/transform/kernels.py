"""The features of a transform as vectorised NumPy and pyarrow kernels; semantics in `spec.py`.

Nothing works row by row: a text is looked up and hashed once per distinct value of the batch.
"""

import farmhash
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.transform.columns import LIST_KINDS, Values, real
from headrace.transform.spec import (
    FIRST_UNKNOWN_ID,
    MISSING_ID,
    SEPARATOR,
    CyclicFeature,
    OnScale,
    ScaledFeature,
    SeriesFeature,
    TokensFeature,
)

FLOAT32_MAX = float(np.finfo(np.float32).max)
# RE2, as in TensorFlow: ASCII punctuation, and ASCII white space as C's isspace has it.
PUNCTUATION = r"[!-/:-@\[-`{-~]"
WHITE_SPACE = r"[\t\n\v\f\r ]+"


def prescaled(
    values: Values, clip: tuple[float | None, float | None], log1p: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Clip and log1p: float64 (n,) and what is missing after it, bool (n,)."""
    numbers, missing = real(values), values.missing
    low, high = clip
    if low is not None or high is not None:
        numbers = np.clip(numbers, low, high)
    if log1p:
        missing = missing | (numbers <= -1)
        numbers = np.log1p(np.where(missing, 0.0, numbers))
    return numbers, missing


def scaled(values: Values, feature: OnScale) -> np.ndarray:
    """float32 of shape (n,)."""
    numbers, missing = prescaled(values, feature.clip, feature.log1p)
    with np.errstate(over="ignore", invalid="ignore"):
        result = (np.where(missing, feature.fill, numbers) - feature.center) / feature.scale
    return np.clip(result, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32)


def indicator(values: Values, feature: ScaledFeature) -> np.ndarray:
    """float32 of shape (n,): 1 where the value is missing."""
    return prescaled(values, feature.clip, feature.log1p)[1].astype(np.float32)


def cyclic(values: Values, feature: CyclicFeature) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine, float32 of shape (n,) each.

    Both are sines of an angle of a quarter turn at most, which is a difference that is exact where
    the sine is near 0: there, one unit in the last place of a whole angle would be all of it.
    """
    period = feature.period
    numbers = np.where(values.missing, 0.0, real(values))
    rest = np.fmod(numbers, period)
    far = np.minimum(np.abs(rest), period - np.abs(rest))  # from the nearest whole turn
    behind = (rest < 0) != (np.abs(rest) > period / 2)
    up = np.where(far > period / 4, period / 2 - far, far)
    sine = np.sin(up / period * (2 * np.pi))
    cosine = np.sin((period / 4 - far) / period * (2 * np.pi))
    both = (np.where(behind, -sine, sine), cosine)
    found = [np.where(values.missing, 0.0, wave).astype(np.float32) for wave in both]
    return found[0], found[1]


def bucket_ids(values: Values, boundaries: np.ndarray) -> np.ndarray:
    """int32 of shape (n,)."""
    found = np.searchsorted(boundaries, real(values), side="right") + 1
    return np.where(values.missing, MISSING_ID, found).astype(np.int32)


def vocabulary_ids(
    values: Values, vocabulary: pa.Array, unknown_ids: int = 1, fill: str | None = None
) -> np.ndarray:
    """int32 of shape (n,)."""
    words, codes = distinct(values)
    ids = _ids_of_words(words, vocabulary, unknown_ids)
    missing_id = MISSING_ID
    if fill is not None:
        missing_id = int(_ids_of_words(pa.array([fill]), vocabulary, unknown_ids)[0])
    return np.where(values.missing, missing_id, _taken(ids, codes)).astype(np.int32)


def hash_ids(columns: list[Values], buckets: int) -> np.ndarray:
    """int32 of shape (n,); every distinct text, or crossed text, is hashed once."""
    missing = np.logical_or.reduce([c.missing for c in columns])
    words, codes = distinct(columns[0])
    for column in columns[1:]:
        more, more_codes = distinct(column)
        pairs, codes = np.unique(
            codes.astype(np.int64) * max(len(more), 1) + more_codes, return_inverse=True
        )
        left = words.take(pa.array(pairs // max(len(more), 1))) if len(words) else words
        right = more.take(pa.array(pairs % max(len(more), 1))) if len(more) else more
        if not len(words) or not len(more):  # one of the columns is missing everywhere
            return np.zeros(len(missing), np.int32)
        words = pc.binary_join_element_wise(left, right, SEPARATOR)
    ids = 1 + fingerprints(words) % np.uint64(buckets)
    return np.where(missing, MISSING_ID, _taken(ids, codes)).astype(np.int32)


def token_ids(values: Values, feature: TokensFeature, vocabulary: pa.Array) -> np.ndarray:
    """int32 of shape (n, length)."""
    lists = words_of(values, feature) if values.kind == "string" else values
    if feature.buckets is not None:
        ids = hash_ids([lists.elements], feature.buckets)
    else:
        ids = vocabulary_ids(lists.elements, vocabulary, feature.unknown_ids)
    return padded(lists, ids, feature.length, 0)


def words_of(values: Values, feature: TokensFeature) -> Values:
    """The words of a text column as a list column."""
    text = values.array
    if pa.types.is_dictionary(text.type):
        text = pc.cast(text, pa.string())
    text = pc.fill_null(text, "")
    if feature.lower:
        text = pc.ascii_lower(text)
    if feature.strip_punctuation:
        text = pc.replace_substring_regex(text, PUNCTUATION, " ")
    text = pc.utf8_trim(pc.replace_substring_regex(text, WHITE_SPACE, " "), " ")
    lists = pc.split_pattern(text, " ")
    counts = np.where(
        pc.equal(text, "").to_numpy(zero_copy_only=False),
        0,
        pc.list_value_length(lists).to_numpy(zero_copy_only=False),
    )
    words = pc.list_flatten(lists)
    words = words.filter(pc.not_equal(words, ""))
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Values("strings", words, np.zeros(len(words), bool), offsets)


def series(values: Values, feature: SeriesFeature) -> np.ndarray:
    """float32 of shape (n, length)."""
    empty = Values("real", np.zeros(1), np.ones(1, bool))
    return padded(
        values, scaled(values.elements, feature), feature.length, scaled(empty, feature)[0]
    )


def padded(lists: Values, elements: np.ndarray, length: int, padding: object) -> np.ndarray:
    """Elements of a list column as rows of `length`, cut or filled up with `padding`."""
    assert lists.offsets is not None
    counts = np.minimum(np.diff(lists.offsets), length)
    out = np.full((len(counts), length), padding, elements.dtype)
    column = np.arange(length)
    there = column < counts[:, None]
    out[there] = elements[(lists.offsets[:-1, None] + column)[there]]
    return out


def distinct(values: Values) -> tuple[pa.Array, np.ndarray]:
    """Distinct texts, string array, and the position of each value's text among them, int32 (n,).

    Positions of missing values are without meaning, but valid where there is any text at all.
    """
    array = values.array
    if isinstance(array, np.ndarray):
        array = pa.array(array)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    words = array.dictionary
    if words.type != pa.string():
        words = pc.cast(words, pa.string())
    return words, pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)


def fingerprints(words: pa.Array) -> np.ndarray:
    """FarmHash's Fingerprint64 of every text, uint64 (n,)."""
    hashes = (farmhash.fingerprint64(word.encode()) for word in words.to_pylist())
    return np.fromiter((0 if h is None else h for h in hashes), np.uint64, len(words))


def is_list(values: Values) -> bool:
    return values.kind in LIST_KINDS


def _ids_of_words(words: pa.Array, vocabulary: pa.Array, unknown_ids: int) -> np.ndarray:
    found = pc.index_in(words, value_set=vocabulary)
    position = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    ids = position + FIRST_UNKNOWN_ID + unknown_ids
    unknown = np.flatnonzero(position < 0)
    if len(unknown):
        ids[unknown] = FIRST_UNKNOWN_ID
        if unknown_ids > 1:
            hashes = fingerprints(pc.fill_null(words.take(pa.array(unknown)), ""))
            ids[unknown] += (hashes % np.uint64(unknown_ids)).astype(np.int64)
    return ids


def _taken(ids: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return ids[codes] if len(ids) else np.zeros(len(codes), np.int64)
