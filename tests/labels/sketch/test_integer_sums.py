"""Sums as integers: the same bits in any order, and as precise as float64."""

import math

import numpy as np
import pytest

from headrace.labels.sketch.integer_sums import (
    choose_draw_unit,
    choose_unit,
    count_units,
    sum_by_cell,
)


def test_a_unit_is_the_power_of_two_of_which_a_number_has_so_many_bits() -> None:
    assert choose_unit(1.0, 1) == 1.0
    assert choose_unit(0.75, 2) == 0.25  # 3 of them
    assert choose_unit(0.0, 26) == 1.0
    assert choose_unit(5e-324, 26) > 0


def test_sums_of_cells() -> None:
    sums = sum_by_cell(np.array([0.5, -0.25, 2.0, 3.0]), np.array([0, 0, 2, 2]), 3, 3.0)
    assert sums.to_numbers().tolist() == [0.25, 0.0, 5.0]
    assert sum_by_cell(np.array([0.5, -0.25]), None, 1, 0.5).to_numbers().tolist() == [0.25]


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e12, 1e300])
def test_sums_do_not_depend_on_the_order_and_are_exact_to_float64(scale: float) -> None:
    values = np.random.default_rng(0).lognormal(0, 3, 10_000) * scale
    values[::2] *= -1
    sums = sum_by_cell(values, None, 1, float(np.abs(values).max()))
    reversed_sums = sum_by_cell(values[::-1], None, 1, float(np.abs(values).max()))
    assert np.array_equal(sums.sums, reversed_sums.sums)
    assert abs(sums.to_numbers()[0] - math.fsum(values)) <= sums.bound_error(10_000) + 1e-15 * scale
    assert sums.bound_error(10_000) < 1e-11 * np.abs(values).max()


def test_units_of_draws_add_up_within_float64() -> None:
    """2^27 rows of the largest weight, each drawn 16 times, are still a whole number of units."""
    unit = choose_draw_unit(3.0, 2**27, 16)
    assert 3.0 / unit * 2**27 * 16 < 2**53
    assert count_units(np.array([3.0, 1.5]), np.array([1, 1]), 2, unit).tolist() == [0, 4.5 / unit]
