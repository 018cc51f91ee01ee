"""Hash rows for their identity and order: 64 bits of their values, vectorised, the same anywhere.

A row with a dedup key has the key's hash (Catalyst's, see `assign.py`); any other row the hash of
all of its values, computed here, so that the JVM need not touch columns that SQL does not need.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.source.dictionaries import combine_chunks, decode_column

_NULL = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD1342543DE82EF95)


def hash_rows(columns: list[pa.ChunkedArray], start: np.ndarray) -> np.ndarray:
    """Hash each row's values, in the order of the columns.

    Args:
        columns: of n rows: numbers, booleans, texts, bytes, or lists of them, nulls included.
            0.0 and -0.0 are one value, and so are all NaN.
        start: uint64 of shape (n,), hashed with them.

    Returns:
        uint64 of shape (n,).
    """
    total = mix_bits(start)
    for column in columns:
        total = mix_bits(total * _STEP + _hash_values(_combine_rows(column)))
    return total


def _combine_rows(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, at a cost of its rows and not of what their file has.

    Rows that are read some at a time come with the dictionary of all of their file's texts. Where
    nearly every text is another one, to make one dictionary of several of these, and to hash it,
    takes many times as long as to write the rows' texts.
    """
    if pa.types.is_dictionary(column.type):
        values = sum(len(chunk.dictionary) for chunk in column.chunks)
        if values > len(column):
            column = decode_column(column)
    return combine_chunks(column)


def hash_order(identity: np.ndarray, seed: int) -> np.ndarray:
    """Hash identities with the seed alone to uint64, which put rows in pseudo-random order."""
    salt = mix_bits(np.array([seed % 2**64], np.uint64))
    return mix_bits(identity.view(np.uint64) ^ salt)


def mix_bits(values: np.ndarray) -> np.ndarray:
    """Compute the finalizer of SplitMix64 (Steele, Lea, Flood, 2014) of uint64 values."""
    with np.errstate(over="ignore"):
        x = values + _NULL
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


def _hash_values(array: pa.Array) -> np.ndarray:
    """Hash the values of a column: uint64 of shape (rows,)."""
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        hashes = _hash_lists(array)
    elif pa.types.is_floating(kind):
        numbers = array.cast(pa.float64()).fill_null(0.0).to_numpy() + 0.0
        hashes = mix_bits(np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64))
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        hashes = mix_bits(array.cast(pa.int64()).fill_null(0).to_numpy().view(np.uint64))
    else:
        hashes = _hash_texts(array)
    if array.null_count:
        hashes = np.where(array.is_null().to_numpy(zero_copy_only=False), _NULL, hashes)
    return hashes


def _hash_texts(array: pa.Array) -> np.ndarray:
    """Hash texts or byte strings: SipHash of every distinct one."""
    from pandas.util import hash_array

    encoded = array.dictionary_encode()
    distinct = encoded.dictionary.cast(pa.binary()).to_numpy(zero_copy_only=False)
    if not len(distinct):
        return np.zeros(len(array), np.uint64)
    hashes = hash_array(distinct.astype(object), categorize=False)
    return np.asarray(hashes[pc.fill_null(encoded.indices, 0).to_numpy()])


def _hash_lists(array: pa.Array) -> np.ndarray:
    """Hash lists: by their elements, the positions of these, and the length."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    begins = ends - lengths
    position = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(begins, lengths)
    with np.errstate(over="ignore"):
        elements = mix_bits(_hash_values(array.flatten()) + position.astype(np.uint64) * _STEP)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(elements, dtype=np.uint64)])
        return mix_bits(sums[ends] - sums[begins] + lengths.astype(np.uint64))
