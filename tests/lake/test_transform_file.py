"""The digest of `transform.json`: of its bytes, and of older formats by their own rule."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import DatasetError
from headrace.lake.transform_file import check_transform_digest, compute_transform_digest

VALUES = st.recursive(
    st.text() | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
TREES = st.dictionaries(st.text(), VALUES, max_size=5)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_of_format_3_it_is_that_of_the_bytes(tree: dict) -> None:
    text = json.dumps({**tree, "format_version": 3}, indent=1)
    assert compute_transform_digest(text) == sha256(text)


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_of_format_2_it_is_that_of_the_text_without_white_space(tree: dict) -> None:
    """As the first release took it: of the same values, written without white space."""
    whole = {**tree, "format_version": 2}
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    compact = json.dumps(whole, separators=(",", ":"), ensure_ascii=False)
    assert compute_transform_digest(text) == sha256(compact)


def test_numbers_are_taken_as_they_are_written() -> None:
    """Another program would write 1e-05 or 0.00001: the digest is of neither's choice."""
    text = '{"format_version": 2, "scale": 0.00001}'
    other = text.replace("0.00001", "1e-05")
    assert compute_transform_digest(text) == sha256('{"format_version":2,"scale":0.00001}')
    assert compute_transform_digest(text) != compute_transform_digest(other)


def test_a_transform_that_was_changed_is_refused() -> None:
    text = '{"format_version": 3, "scale": 1}'
    check_transform_digest(text, sha256(text), "transform.json")
    for changed in (text.replace("1}", "2}"), text + " "):
        with pytest.raises(
            DatasetError, match=r"^transform\.json was changed after it was publish"
        ):
            check_transform_digest(changed, sha256(text), "transform.json")
