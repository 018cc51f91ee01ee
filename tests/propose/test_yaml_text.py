"""Check that any value is rendered on one line and reads back as the same value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.yaml_text import describe_value, make_printable, render_flow, render_scalar
from headrace.recipe.parse import parse_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)  # fmt: skip


@given(VALUE)
def test_any_value_survives(value: object) -> None:
    text = render_flow(value)
    assert len(text.splitlines()) <= 1
    assert parse_yaml(f"key: {text}") == {"key": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("carrier", "carrier"),
        ("var/lake/flights", "var/lake/flights"),
        ("no", '"no"'),  # YAML's false
        ("null", '"null"'),
        ("2024-01-31", '"2024-01-31"'),
        ("1e3", '"1e3"'),
        ("a: b", '"a: b"'),
        ("Größe", '"Größe"'),
        ("a # b", '"a # b"'),
        ("", '""'),
        ("a\nb", '"a\\nb"'),
        ("${workdir}/lake", "${workdir}/lake"),
        (1e-5, "1e-05"),
        (True, "true"),
        (None, "null"),
    ],
)
def test_texts_are_quoted_where_they_would_be_something_else(value: object, text: str) -> None:
    assert render_scalar(value) == text


def test_a_variable_is_quoted_where_its_braces_would_end_a_mapping() -> None:
    assert render_flow({"path": "${workdir}/a"}) == '{path: "${workdir}/a"}'


@given(st.text(max_size=50))
def test_a_comment_is_one_line_that_yaml_reads(text: str) -> None:
    assert parse_yaml(f"a: 1 # {make_printable(text)}\nb: 2") == {"a": 1, "b": 2}


def test_a_long_value_is_shortened_in_messages() -> None:
    assert describe_value("x" * 100) == "'" + "x" * 39 + "…'"
    assert describe_value(12.5) == "12.5"
