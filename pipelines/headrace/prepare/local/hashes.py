"""Hash columns as Spark does.

`xxhash64` is XXH64 with seed 42, one column after the other.
A column's hash is the seed of the next one's, and a null leaves it as it is. Numbers and times are
hashed as their 8 bytes, days and truth values as 4, texts as their UTF-8.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.source.keys import DIGEST_BYTES

_SEED = np.uint64(42)
_PRIME_1, _PRIME_2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_3, _PRIME_4 = np.uint64(0x165667B19E3779F9), np.uint64(0x85EBCA77C2B2AE63)
_PRIME_5 = np.uint64(0x27D4EB2F165667C5)
# Of texts of one length, so that what is computed stays in the caches, and is no multiple of them
# where they are long.
_BYTES_AT_ONCE = 1 << 20


def hash_columns(columns: Sequence[pa.Array], rows: int) -> np.ndarray:
    """Hash the columns of each row together.

    Args:
        columns: int64, int32, boolean, float64 or string, nulls allowed.
        rows: their length.

    Returns:
        int64 of shape (rows,), as Spark's `xxhash64(columns…)`.

    Raises:
        TypeError: a column has another type.
    """
    state = np.full(rows, _SEED)
    with np.errstate(over="ignore"):
        for column in columns:
            hashed = _hash_column(column, state)
            if column.null_count:
                valid = column.is_valid().to_numpy(zero_copy_only=False)
                hashed = np.where(valid, hashed, state)
            state = hashed
    return state.view(np.int64)


def digest_texts(columns: Sequence[pa.Array], is_null: np.ndarray) -> pa.Array:
    """Return the digests of keys, see `source.keys.digest_key`.

    Args:
        columns: of the key, int64 or string.
        is_null: rows that get none, bool (rows,).

    Returns:
        binary of `DIGEST_BYTES` (rows,).
    """
    parts = []
    for column in columns:
        values = pc.fill_null(column, "" if pa.types.is_string(column.type) else 0)
        if pa.types.is_string(values.type):
            lengths = pc.binary_length(values).cast(pa.string())
            parts.append(pc.binary_join_element_wise(lengths, values, ":"))
        else:
            parts.append(pc.binary_join_element_wise(values.cast(pa.string()), "", ";"))
    texts = pc.binary_join_element_wise(*parts, "") if len(parts) > 1 else parts[0]
    sha, size = hashlib.sha256, DIGEST_BYTES
    digests = b"".join(sha(text).digest()[:size] for text in texts.cast(pa.binary()).to_pylist())
    kind = pa.binary(DIGEST_BYTES)
    whole = pa.Array.from_buffers(kind, len(texts), [None, pa.py_buffer(digests)])
    return pc.if_else(pa.array(is_null), pa.scalar(None, kind), whole) if is_null.any() else whole


def _hash_column(column: pa.Array, state: np.ndarray) -> np.ndarray:
    if pa.types.is_int64(column.type):
        return _hash_words(pc.fill_null(column, 0).to_numpy().view(np.uint64), state)
    if pa.types.is_int32(column.type) or pa.types.is_boolean(column.type):
        numbers = pc.fill_null(column.cast(pa.int32()), 0).to_numpy()
        word = numbers.view(np.uint32).astype(np.uint64)
        return _finish(_add_half_word(state + _PRIME_5 + np.uint64(4), word))
    if pa.types.is_float64(column.type):
        numbers = pc.fill_null(column, 0.0).to_numpy()
        # Java has one NaN, and Spark one zero.
        numbers = np.where(np.isnan(numbers), np.nan, numbers) + 0.0
        return _hash_words(numbers.view(np.uint64), state)
    if pa.types.is_string(column.type):
        return _hash_texts(column, state)
    raise TypeError(f"columns of type {column.type} are not hashed here")


def _rotate(words: np.ndarray, bits: int) -> np.ndarray:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))


def _finish(state: np.ndarray) -> np.ndarray:
    state ^= state >> np.uint64(33)
    state *= _PRIME_2
    state ^= state >> np.uint64(29)
    state *= _PRIME_3
    state ^= state >> np.uint64(32)
    return state


def _add_word(state: np.ndarray, words: np.ndarray) -> np.ndarray:
    state = state ^ (_rotate(words * _PRIME_2, 31) * _PRIME_1)
    return _rotate(state, 27) * _PRIME_1 + _PRIME_4


def _add_half_word(state: np.ndarray, words: np.ndarray) -> np.ndarray:
    return _rotate(state ^ (words * _PRIME_1), 23) * _PRIME_2 + _PRIME_3


def _hash_words(words: np.ndarray, seed: np.ndarray) -> np.ndarray:
    return _finish(_add_word(seed + _PRIME_5 + np.uint64(8), words))


def _hash_texts(texts: pa.Array, seed: np.ndarray) -> np.ndarray:
    """Hash texts, those of one length at a time."""
    _, offset_buffer, data = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    hashed = np.empty(len(texts), np.uint64)
    if len(texts) and (lengths[0] == lengths).all():
        groups = [(int(lengths[0]), np.arange(len(texts)))]
    else:
        order = np.argsort(lengths, kind="stable")
        rising = lengths[order]
        bounds = np.flatnonzero(np.diff(rising)) + 1
        parts = np.split(order, bounds)
        groups = [(int(lengths[part[0]]), part) for part in parts if len(part)]
    for length, positions in groups:
        at_once = max(1, _BYTES_AT_ONCE // max(length, 16))
        for begin in range(0, len(positions), at_once):
            rows = positions[begin : begin + at_once]
            cells = offsets[rows].astype(np.int64)[:, None] + np.arange(length)
            hashed[rows] = _hash_bytes(content[cells], seed[rows])
    return hashed


def _hash_bytes(cells: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Hash byte strings of one length, uint8 (rows, length)."""
    rows, length = cells.shape
    done = 0
    if length >= 32:
        lanes = [seed + _PRIME_1 + _PRIME_2, seed + _PRIME_2, seed + np.uint64(0), seed - _PRIME_1]
        whole = length // 32 * 32
        words = np.ascontiguousarray(cells[:, :whole]).view(np.uint64)
        for block in range(0, whole // 8, 4):
            for lane in range(4):
                mixed = lanes[lane] + words[:, block + lane] * _PRIME_2
                lanes[lane] = _rotate(mixed, 31) * _PRIME_1
        state = _rotate(lanes[0], 1) + _rotate(lanes[1], 7)
        state += _rotate(lanes[2], 12) + _rotate(lanes[3], 18)
        for mixed in lanes:
            state = (state ^ (_rotate(mixed * _PRIME_2, 31) * _PRIME_1)) * _PRIME_1 + _PRIME_4
        done = whole
    else:
        state = seed + _PRIME_5
    state = state + np.uint64(length)
    whole = (length - done) // 8 * 8
    if whole:
        words = np.ascontiguousarray(cells[:, done : done + whole]).view(np.uint64)
        for position in range(words.shape[1]):
            state = _add_word(state, words[:, position])
        done += whole
    if length - done >= 4:
        word = np.ascontiguousarray(cells[:, done : done + 4]).view(np.uint32).reshape(rows)
        state = _add_half_word(state, word.astype(np.uint64))
        done += 4
    for position in range(done, length):
        state = state ^ (cells[:, position].astype(np.uint64) * _PRIME_5)
        state = _rotate(state, 11) * _PRIME_1
    return _finish(state)
