"""Compute where `headrace prepare` splits rows by their keys: Spark's hash, without Spark.

With it a seed can be proposed that leaves no split of a table of few rows empty. XXH64 follows its
specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), for short texts, one by one.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from headrace.prepare.split import KEY_SEPARATOR, MISSING_KEY, SPLIT_STEPS
from headrace.schema import ColumnType

_MASK = 2**64 - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_SPARK_SEED = 42
TEXT_TYPES = frozenset({
    ColumnType.STRING, ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.REAL,
    ColumnType.TIMESTAMP,
})  # fmt: skip
"""Types whose texts in a split key are known here."""


def compute_split_points(keys: Sequence[tuple[str | None, ...]], seed: int) -> list[float]:
    """Return the rows' points from 0 to 1: a row below the train share is a train row, and so on.

    Args:
        keys: values of the split key's columns, as texts.
        seed: the split's seed.
    """
    points = {}
    for key in dict.fromkeys(keys):
        parts = (str(seed), *(MISSING_KEY if part is None else part for part in key))
        signed = hash_xxh64(KEY_SEPARATOR.join(parts).encode(), _SPARK_SEED)
        signed -= 2**64 if signed >= 2**63 else 0
        points[key] = signed % SPLIT_STEPS / SPLIT_STEPS
    return [points[key] for key in keys]


def write_key_texts(values: pa.Array) -> list[str | None]:
    """Write values as the texts that are hashed (`source/keys.write_key_text`); None for a null.

    A real number's text is Java's, which before Java 19 had a digit too many in rare cases.

    Args:
        values: texts, whole numbers, truth values, reals, or times in microseconds.
    """
    if pa.types.is_timestamp(values.type):
        micros = pc.cast(values, pa.int64()).to_pylist()
        return [None if item is None else _write_time(item) for item in micros]
    if pa.types.is_floating(values.type):
        return [None if item is None else _write_real(item) for item in values.to_pylist()]
    if pa.types.is_boolean(values.type):
        return [None if item is None else str(item).lower() for item in values.to_pylist()]
    return [None if item is None else str(item) for item in values.to_pylist()]


def _write_time(micros: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    except OverflowError:  # a year after 9999, whose text does not matter
        return str(micros)
    whole = moment.replace(microsecond=0, tzinfo=None).isoformat(sep=" ")
    fraction = f".{micros % 10**6:06}".rstrip("0") if micros % 10**6 else ""
    return f"{whole}{fraction}".removesuffix(" 00:00:00")


def _write_real(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if abs(number) < 2**53 and number == math.floor(number):
        return str(int(number))
    if 1e-3 <= abs(number) < 1e7:
        return str(Decimal(repr(number)))
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    assert isinstance(exponent, int)
    power = exponent + len(digits) - 1
    return f"{'-' if sign else ''}{shown[0]}.{shown[1:] or '0'}E{power}"


def hash_xxh64(content: bytes, seed: int) -> int:
    """Return the XXH64 hash of the bytes, 0 to 2**64 - 1."""
    offset, length = 0, len(content)
    if length >= 32:
        lanes = [seed + _P1 + _P2, seed + _P2, seed, seed - _P1]
        while offset <= length - 32:
            for lane in range(4):
                lanes[lane] = _mix_word(lanes[lane], _read_word(content, offset + 8 * lane, 8))
            offset += 32
        turns = (1, 7, 12, 18)
        total = sum(_rotate_left(lane, turn) for lane, turn in zip(lanes, turns, strict=True))
        for lane in lanes:
            total = ((total ^ _mix_word(0, lane)) * _P1 + _P4) & _MASK
    else:
        total = seed + _P5
    total = (total + length) & _MASK
    while offset <= length - 8:
        total ^= _mix_word(0, _read_word(content, offset, 8))
        total = (_rotate_left(total, 27) * _P1 + _P4) & _MASK
        offset += 8
    if offset <= length - 4:
        total ^= _read_word(content, offset, 4) * _P1 & _MASK
        total = (_rotate_left(total, 23) * _P2 + _P3) & _MASK
        offset += 4
    for byte in content[offset:]:
        total ^= byte * _P5 & _MASK
        total = _rotate_left(total, 11) * _P1 & _MASK
    for shift, factor in ((33, _P2), (29, _P3), (32, 1)):
        total = (total ^ (total >> shift)) * factor & _MASK
    return total


def _read_word(content: bytes, offset: int, size: int) -> int:
    return int.from_bytes(content[offset : offset + size], "little")


def _mix_word(lane: int, word: int) -> int:
    return _rotate_left((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def _rotate_left(number: int, bits: int) -> int:
    number &= _MASK
    return (number << bits | number >> (64 - bits)) & _MASK
