"""Encode what goes between ranks: JSON and arrays of numbers, in a zip of NumPy's, never a pickle.

Whoever forges a message can give a rank wrong values, and cannot have it run anything.
"""

import io
import json
from typing import Any

import numpy as np

_JSON = "json"
_REFERENCE = "$"  # of an array or of bytes, by number; no dictionary of a value has this key
_NUMBERS = "biufc"  # kinds of dtypes


def encode_message(value: Any) -> bytes:
    """Encode a value: None, numbers, texts, bytes and arrays of numbers, in lists and dictionaries.

    Raises:
        TypeError: the value, or one in it, is of another type.
    """
    arrays: dict[str, np.ndarray] = {}

    def encode(part: Any) -> Any:
        if part is None or isinstance(part, bool | int | float | str):
            return part
        if isinstance(part, np.generic) and part.dtype.kind in _NUMBERS:
            return part.item()
        if isinstance(part, list | tuple):
            return [encode(item) for item in part]
        if isinstance(part, dict):
            if not all(isinstance(key, str) and key != _REFERENCE for key in part):
                raise TypeError(f"keys of a message are texts, not {list(part)[:3]!r}")
            return {key: encode(item) for key, item in part.items()}
        name = str(len(arrays))
        if isinstance(part, bytes | bytearray | memoryview):
            arrays[name] = np.frombuffer(part, np.uint8)
            return {_REFERENCE: name, "is_bytes": True}
        if isinstance(part, np.ndarray) and part.dtype.kind in _NUMBERS:
            arrays[name] = part
            return {_REFERENCE: name, "is_bytes": False}
        raise TypeError(f"a message has no values of type {type(part).__name__}")

    text = json.dumps(encode(value))
    stream = io.BytesIO()
    arrays[_JSON] = np.frombuffer(text.encode(), np.uint8)
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def decode_message(content: bytes) -> Any:
    """Decode what `encode_message` made; tuples have become lists.

    Raises:
        ValueError: it is no such message.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        tree = json.loads(arrays[_JSON].tobytes())
        return _decode_part(tree, arrays)
    except Exception as error:  # of the zip, of NumPy and of JSON, each with classes of its own
        raise ValueError(f"no message of a rank: {error!r}") from None


def _decode_part(part: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(part, list):
        return [_decode_part(item, arrays) for item in part]
    if not isinstance(part, dict):
        return part
    if _REFERENCE not in part:
        return {key: _decode_part(item, arrays) for key, item in part.items()}
    array = arrays[part[_REFERENCE]]
    return array.tobytes() if part["is_bytes"] else array
