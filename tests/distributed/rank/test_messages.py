"""What goes between ranks: values come back as they were, and nothing is un-pickled."""

import contextlib
import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.distributed.rank.messages import decode_message, encode_message

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
    | st.text() | st.binary(),
    lambda inner: st.lists(inner)
    | st.dictionaries(st.text().filter(lambda key: key != "$"), inner),
    max_leaves=12,
)  # fmt: skip


@given(PLAIN)
def test_values_come_back(value: Any) -> None:
    assert decode_message(encode_message(value)) == value


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool", "c8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_arrays_come_back_bit_for_bit(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    (back,) = decode_message(encode_message([array]))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_numbers_of_numpy_and_what_is_not_finite() -> None:
    value = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": float("inf")}
    assert decode_message(encode_message(value)) == {"a": 0.5, "b": 3, "c": True, "d": math.inf}
    assert math.isnan(decode_message(encode_message(math.nan)))


@pytest.mark.parametrize(
    "value", [{1: 2}, {"$": 1}, {1, 2}, object(), np.array([object()]), np.array(["text"]), print]
)
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="message"):
        encode_message(["inside", {"of": value}])


class _Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("wrap", ["pickle", "member", "json"])
def test_a_forged_message_runs_nothing(tmp_path: Path, wrap: str) -> None:
    attack = _Attack(tmp_path / "mark")
    content = pickle.dumps(attack)
    if wrap != "pickle":
        stream = io.BytesIO()
        name = {"member": "0", "json": "json"}[wrap]
        members = {"json": np.frombuffer(b'{"$": "0", "is_bytes": false}', np.uint8)}
        np.savez(stream, **members | {name: np.array([attack], dtype=object)})
        content = stream.getvalue()
    with pytest.raises(ValueError, match="no message of a rank"):
        decode_message(content)
    assert not (tmp_path / "mark").exists()
    if wrap == "pickle":
        pickle.loads(content)
        assert (tmp_path / "mark").exists()  # the attack would work


@given(st.data())
def test_damaged_messages_are_errors_or_values(data: st.DataObject) -> None:
    content = bytearray(encode_message({"a": [1, 2.5, "x"], "b": np.arange(4)}))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        decode_message(bytes(content[: data.draw(st.integers(0, len(content)))]))
