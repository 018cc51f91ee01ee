"""Numbers for people have significant digits, and are never shown as what they are not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.number_text import format_beside, format_exact, format_number, format_share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (1234567.0, "1,234,567"), (0.5, "0.5"),
        (4.2e-7, "4.2e-7"), (1.23456789e-7, "1.2346e-7"), (-0.00001234, "-1.234e-5"),
        (0.99996, "0.99996"), (0.9999999, "0.9999999"), (-0.9999999, "-0.9999999"),
        (123456.789, "123,457"), (1234.5678, "1,234.6"), (1e12, "1,000,000,000,000"),
        (3.25e20, "3.25e20"), (math.nan, "nan"), (-math.inf, "-inf"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"), (1.0, "100%"), (0.995, "99.5%"), (0.07, "7%"), (0.123456, "12.3%"),
        (0.99999, "99.999%"), (0.00001, "0.001%"), (1e-9, "1e-7%"), (0.975, "97.5%"),
        (1.5, "150%"), (math.nan, "nan"),
    ],
)  # fmt: skip
def test_shares(share: float, text: str) -> None:
    assert format_share(share) == text


def test_limits_are_shown_as_the_recipe_has_them() -> None:
    assert [format_exact(x) for x in (0.7, 5.0, 0.9999999, 1e-7)] == [
        "0.7",
        "5",
        "0.9999999",
        "1e-07",
    ]


def test_a_value_beside_a_limit_is_told_apart_from_it() -> None:
    assert format_beside(0.8999999999, 0.9) == "0.8999999999"
    assert format_beside(0.123456789, 0.9) == "0.123457"
    assert format_beside(0.9, 0.9) == "0.9"
    assert format_beside(2000.4, 2000.0, 3) == "2,000.4"


@given(st.floats(-1e307, 1e307))
def test_what_is_shown_is_the_number_within_its_digits(value: float) -> None:
    shown = float(format_number(value, 5).replace(",", ""))
    assert shown == pytest.approx(value, rel=1e-4)
    assert (shown == 0) == (value == 0)
    if 0 < abs(value) < 1 - 1e-15:
        assert 0 < abs(shown) < 1


@given(st.floats(0, 1))
def test_a_share_is_100_only_where_it_is_all(share: float) -> None:
    text = format_share(share)
    if 1e-300 < share < 1 - 1e-13:
        assert text not in ("0%", "100%")
