"""Where `headrace prepare` puts a row by its split key: Spark's hash of a text, without Spark.

So that of a table of few rows a seed can be proposed that leaves no split empty. XXH64 as its
specification has it (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), of short texts, one by one.
"""

from collections.abc import Sequence

_MASK = 2**64 - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_SPARKS_SEED = 42
# As `prepare/assign.py` makes the text and cuts the points.
_SEPARATOR, _NULL, _STEPS = "\x1f", "\x00", 1_000_000


def split_points(keys: Sequence[tuple[str | None, ...]], seed: int) -> list[float]:
    """Points from 0 to 1 of rows: below the share of train they are train rows, and so on.

    Args:
        keys: values of the split key's columns, as texts.
        seed: of the split.
    """
    found = {}
    for key in dict.fromkeys(keys):
        parts = (str(seed), *(_NULL if part is None else part for part in key))
        signed = xxh64(_SEPARATOR.join(parts).encode(), _SPARKS_SEED)
        signed -= 2**64 if signed >= 2**63 else 0
        found[key] = signed % _STEPS / _STEPS
    return [found[key] for key in keys]


def xxh64(content: bytes, seed: int) -> int:
    """The hash, 0 to 2**64 - 1."""
    place, length = 0, len(content)
    if length >= 32:
        lanes = [seed + _P1 + _P2, seed + _P2, seed, seed - _P1]
        while place <= length - 32:
            for lane in range(4):
                lanes[lane] = _round(lanes[lane], _word(content, place + 8 * lane, 8))
            place += 32
        turns = (1, 7, 12, 18)
        total = sum(_rotated(lane, turn) for lane, turn in zip(lanes, turns, strict=True))
        for lane in lanes:
            total = ((total ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        total = seed + _P5
    total = (total + length) & _MASK
    while place <= length - 8:
        total ^= _round(0, _word(content, place, 8))
        total = (_rotated(total, 27) * _P1 + _P4) & _MASK
        place += 8
    if place <= length - 4:
        total ^= _word(content, place, 4) * _P1 & _MASK
        total = (_rotated(total, 23) * _P2 + _P3) & _MASK
        place += 4
    for byte in content[place:]:
        total ^= byte * _P5 & _MASK
        total = _rotated(total, 11) * _P1 & _MASK
    for shift, factor in ((33, _P2), (29, _P3), (32, 1)):
        total = (total ^ (total >> shift)) * factor & _MASK
    return total


def _word(content: bytes, place: int, size: int) -> int:
    return int.from_bytes(content[place : place + size], "little")


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def _rotated(number: int, bits: int) -> int:
    number &= _MASK
    return (number << bits | number >> (64 - bits)) & _MASK
