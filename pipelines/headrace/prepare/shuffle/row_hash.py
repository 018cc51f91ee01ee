"""Identity and order of rows, as 64-bit hashes of their values: vectorised, and the same anywhere.

A row with a dedup key has the key's hash (Catalyst's, see `tag.py`); any other row the hash of all
of itself, made here, so that the JVM need not touch columns that it has no other business with.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NULL = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD1342543DE82EF95)


def row_hashes(columns: list[pa.ChunkedArray], start: np.ndarray) -> np.ndarray:
    """A hash of each row's values, in the order of the columns.

    Args:
        columns: of n rows: numbers, booleans, texts, bytes, or lists of them, nulls included.
            0.0 and -0.0 are one value, and so are all NaN.
        start: uint64 of shape (n,), hashed with them.

    Returns:
        uint64 of shape (n,).
    """
    total = mixed(start)
    for column in columns:
        total = mixed(total * _STEP + _values(_whole(column)))
    return total


def order_of(identity: np.ndarray, seed: int) -> np.ndarray:
    """Pseudo-random places of rows: uint64, a function of their identity and the seed alone."""
    salt = mixed(np.array([seed % 2**64], np.uint64))
    return mixed(identity.view(np.uint64) ^ salt)


def mixed(values: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea, Flood, 2014) of uint64 values."""
    with np.errstate(over="ignore"):
        x = values + _NULL
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


def _whole(column: "pa.ChunkedArray | pa.Array") -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _values(array: pa.Array) -> np.ndarray:
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = _lists(array)
    elif pa.types.is_floating(kind):
        numbers = array.cast(pa.float64()).fill_null(0.0).to_numpy() + 0.0
        found = mixed(np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64))
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        found = mixed(array.cast(pa.int64()).fill_null(0).to_numpy().view(np.uint64))
    else:
        found = _texts(array)
    if array.null_count:
        found = np.where(array.is_null().to_numpy(zero_copy_only=False), _NULL, found)
    return found


def _texts(array: pa.Array) -> np.ndarray:
    """SipHash of every distinct text or byte string."""
    from pandas.util import hash_array

    encoded = array.dictionary_encode()
    distinct = encoded.dictionary.cast(pa.binary()).to_numpy(zero_copy_only=False)
    if not len(distinct):
        return np.zeros(len(array), np.uint64)
    hashes = hash_array(distinct.astype(object), categorize=False)
    return np.asarray(hashes[pc.fill_null(encoded.indices, 0).to_numpy()])


def _lists(array: pa.Array) -> np.ndarray:
    """Elements and their places count, and so does the length."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    begins = ends - lengths
    place = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(begins, lengths)
    with np.errstate(over="ignore"):
        elements = mixed(_values(array.flatten()) + place.astype(np.uint64) * _STEP)
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(elements, dtype=np.uint64)])
        return mixed(sums[ends] - sums[begins] + lengths.astype(np.uint64))
