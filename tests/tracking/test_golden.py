"""What counts as another prediction than the one that was recorded."""

import numpy as np

from headrace.tracking.golden import differing


def test_rounding_is_no_difference_and_more_is() -> None:
    expected = np.array([0.2, 0.5, 0.9])
    found = expected + np.array([9e-6, 1.1e-5, 0.0])
    different, largest = differing(expected, found, absolute=1e-5, relative=0.0)
    assert different.tolist() == [False, True, False]
    assert np.isclose(largest, 1.1e-5)


def test_numbers_on_a_large_scale_are_held_to_it() -> None:
    """A label in euros: 1e-5 of a standard deviation of 1e5, and not 100% of the number."""
    expected = np.array([1e6, 1e6, 0.0])
    found = np.array([1e6 + 1.5, 1e6 + 500, 0.5])
    different, _ = differing(expected, found, absolute=1.0, relative=1e-6)
    assert different.tolist() == [False, True, False]


def test_numbers_on_a_small_scale_are_held_to_it() -> None:
    different, _ = differing(
        np.array([3e-6]), np.array([4e-6]), absolute=1e-5 * 1e-6, relative=1e-6
    )
    assert different.all()


def test_no_number_is_far_from_every_number() -> None:
    different, largest = differing(np.array([0.5]), np.array([np.nan]), absolute=1e-5, relative=0.0)
    assert different.all()
    assert largest > 1e300


def test_classes_differ_where_one_was_recorded() -> None:
    expected = np.array(["a", None, "b"], object)
    found = np.array(["a", "c", "a"], object)
    different, _ = differing(expected, found, absolute=1e-5, relative=0.0)
    assert different.tolist() == [False, False, True]
