"""A number that goes round: sines and cosines worked out by hand."""

import numpy as np
import pytest

from headrace.features.cyclic import CyclicFeature
from tests.fitting import read_reals, run_feature

CLOCK = CyclicFeature(name="f", column="c", period=24.0)


def test_quarter_turns() -> None:
    arrays = run_feature(CLOCK, read_reals(0.0, 6.0, 12.0, -6.0, None))
    assert arrays["f_sin"].tolist() == pytest.approx([0, 1, 0, -1, 0], abs=0)
    assert arrays["f_cos"].tolist() == pytest.approx([1, 0, -1, 0, 0], abs=0)


def test_it_is_right_next_to_where_it_is_zero() -> None:
    """By hand: near a multiple of half a period the sine is the angle's distance from it."""
    tiny = 2.0**-40
    around = [24 + tiny, -tiny, 12 - tiny, -12 + tiny, 36 + tiny, 12.0, 6.0, -6.0]
    arrays = run_feature(CLOCK, read_reals(*around))
    small = tiny / 24 * 2 * np.pi
    expected = [small, -small, small, -small, -small, 0, 1, -1]
    np.testing.assert_allclose(arrays["f_sin"], expected, rtol=1e-6)
    np.testing.assert_allclose(arrays["f_cos"], [1, 1, -1, -1, -1, -1, 0, 0], rtol=1e-6)
