"""`transform.json` as a file: its digest. What it means is for `transform/spec.py`."""

import hashlib
import re

from headrace.formats import TRANSFORM

# A text in quotes, which stays, or white space between two of them, which goes.
_WHITE_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_LAST_WITHOUT_SPACE = 2


def transform_digest(text: str) -> str:
    """Return the SHA-256, hexadecimal, of a `transform.json` as it is written.

    Of its bytes, so that it stays what it is whatever fields later programs know. Up to format 2 it
    was that of the spec without white space, which is the same text without its own.
    """
    version = TRANSFORM.version_in(text)
    if version is not None and version <= _LAST_WITHOUT_SPACE:
        text = _WHITE_SPACE.sub(lambda match: match[1] or "", text)
    return hashlib.sha256(text.encode()).hexdigest()
