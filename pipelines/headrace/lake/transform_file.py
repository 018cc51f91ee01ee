"""Compute and check the digest of `transform.json`; its meaning is left to `transform/spec.py`."""

import hashlib
import re

from headrace.errors import DamagedError
from headrace.formats import TRANSFORM

# A text in quotes, which stays, or white space between two of them, which is removed.
_WHITE_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_LAST_COMPACT_FORMAT = 2


def compute_transform_digest(text: str) -> str:
    """Return the SHA-256, hexadecimal, of a `transform.json` as it is written.

    It is that of the file's bytes, so that it does not depend on the fields that later programs
    have. Up to format 2 it was that of the spec written without white space, which is the same text
    with its white space removed.
    """
    version = TRANSFORM.parse_version(text)
    if version is not None and version <= _LAST_COMPACT_FORMAT:
        text = _WHITE_SPACE.sub(lambda match: match[1] or "", text)
    return hashlib.sha256(text.encode()).hexdigest()


def check_transform_digest(text: str, digest: str, where: str) -> None:
    """Check that a `transform.json` is the one that was published.

    Args:
        text: the file as it was read.
        digest: what `compute_transform_digest` returned when it was published.
        where: the file in messages.

    Raises:
        DamagedError: it was changed since.
    """
    if compute_transform_digest(text) != digest:
        raise DamagedError(f"{where} was changed after it was published; prepare the dataset again")
