"""YAML as a recipe reads it: what is a text, and what is a number."""

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.recipe.parse import dump_yaml, parse_yaml

VALUES = ["clean", "rules", "0", "values"]
# Texts made of what numbers, times, truth values and nulls are made of.
ODD_TEXTS = st.text("0123456789-+._:eExobTinfasulNyY ~=<", max_size=8)
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), ODD_TEXTS
)
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text() | ODD_TEXTS, inner)
)


@pytest.mark.parametrize(
    "text",
    [
        "no", "NO", "yes", "On", "off", "y", "007", "-01", "00501", "02139", "08", "0o17", "0x1F",
        "0b1", "12:30", "1:30:00", "190:20:30.15", "2013-10-01", "2013-10-01 12:00:00", "=", "00.5",
        "1e", "e3", ".", "+", "1.2.3", "_1", "0_1", "tRUE", "nULL", ".Nan2",
    ],
)  # fmt: skip
def test_a_text(text: str) -> None:
    assert parse_yaml(f"a: {text}") == {"a": text}
    assert parse_yaml(f"[{text}]", at=VALUES) == [text]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-0", 0), ("+5", 5), ("501", 501), ("1_000", 1000), ("1.50", 1.5), (".5", 0.5),
        ("1.", 1.0), ("1e-3", 1e-3), ("1E3", 1000.0), ("-.5e3", -500.0), ("-.inf", -math.inf),
        ("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("", None),
    ],
)  # fmt: skip
def test_a_setting_that_is_no_text(text: str, value: object) -> None:
    found = parse_yaml(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["1.50", "+5", "-0", "1_000", ".5", "1.", "1e-3", ".inf", "True"])
def test_a_value_that_would_be_written_otherwise_stays_as_it_was_written(text: str) -> None:
    (found,) = parse_yaml(f"[{text}]", at=VALUES)
    assert found == text
    assert parse_yaml(f"clean: {{rules: [{{values: [{text}]}}]}}")["clean"]["rules"][0] == {
        "values": [text]
    }


@pytest.mark.parametrize("value", [5, -3, 0, 1.5, 1e-07, 1e16, True, False])
def test_a_value_in_pythons_own_words_keeps_its_type(value: object) -> None:
    (found,) = parse_yaml(f"[{str(value).lower()}]", at=VALUES)
    assert (found, type(found)) == (value, type(value))


def test_limits_and_settings_stay_numbers_and_options_keep_their_zeros() -> None:
    tree = parse_yaml(
        "clean: {rules: [{min: 1e-3, max: 1.50}]}\n"
        "source: {tables: {t: {options: {nullValue: 0.00, header: True, sep: 1}}}}\n"
        "train: {rate: 1.50}\n"
    )
    assert tree["clean"]["rules"] == [{"min": 0.001, "max": 1.5}]
    assert tree["source"]["tables"]["t"]["options"] == {
        "nullValue": "0.00", "header": True, "sep": 1,
    }  # fmt: skip
    assert tree["train"] == {"rate": 1.5}


def test_keys_are_texts() -> None:
    tree = parse_yaml("{1: a, no: b, 1.50: c, ~: d, true: e, 007: f, 2013-10-01: g}")
    assert list(tree) == ["1", "no", "1.50", "~", "true", "007", "2013-10-01"]


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "{no: 1, 'no': 2}", "{1: a, '1': b}"])
def test_a_key_written_twice_is_an_error(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is written twice"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["{[a]: 1}", "? {a: 1}\n: 2", "!!python/name:os.system x"])
def test_what_is_no_plain_tree_is_an_error(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)


@settings(deadline=None)
@given(TREES)
def test_what_is_dumped_is_read_back_the_same(tree: Any) -> None:
    assert parse_yaml(dump_yaml(tree)) == tree


@settings(deadline=None)
@given(ODD_TEXTS)
def test_a_dumped_text_is_one_for_other_parsers_too(text: str) -> None:
    assert yaml.safe_load(dump_yaml({"a": text})) == {"a": text}


def test_a_key_that_is_written_goes_before_a_merged_one() -> None:
    text = "a: &a {x: 1, why: 2}\nb: &b {why: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 5\n"
    assert parse_yaml(text)["c"] == {"x": 5, "why": 2, "z": 4}


def test_what_is_merged_is_a_section() -> None:
    with pytest.raises(yaml.YAMLError, match="not a section"):
        parse_yaml("a: &a 1\nb:\n  <<: *a\n")


def test_a_key_that_is_written_twice_says_where_it_was_first() -> None:
    with pytest.raises(yaml.YAMLError, match="'x' is written twice, first in line 3"):
        parse_yaml("a: &a {x: 1}\nb:\n  x: 1\n  <<: *a\n  x: 2\n")
