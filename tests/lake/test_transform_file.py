"""The digest of `transform.json`: of its bytes, and of older formats by their own rule."""

import hashlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.lake.transform_file import transform_digest

VALUES = st.recursive(
    st.text() | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
TREES = st.dictionaries(st.text(), VALUES)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_of_format_3_it_is_that_of_the_bytes(tree: dict) -> None:
    text = json.dumps({**tree, "format_version": 3}, indent=1)
    assert transform_digest(text) == sha256(text)


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_of_format_2_it_is_that_of_the_text_without_white_space(tree: dict) -> None:
    """As the first release took it: of the same values, written without white space."""
    whole = {**tree, "format_version": 2}
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    compact = json.dumps(whole, separators=(",", ":"), ensure_ascii=False)
    assert transform_digest(text) == sha256(compact)


def test_numbers_are_taken_as_they_are_written() -> None:
    """Another program would write 1e-05 or 0.00001: the digest is of neither's choice."""
    one = '{"format_version": 2, "scale": 0.00001}'
    assert transform_digest(one) == sha256('{"format_version":2,"scale":0.00001}')
    assert transform_digest(one) != transform_digest(one.replace("0.00001", "1e-05"))
