"""The calibration error, worked out by hand."""

import numpy as np
import pytest

from headrace.labels.calibration import CALIBRATION_BINS, CalibrationError


def test_the_error_by_hand() -> None:
    # Two bins of half the rows each: 0.1 is off by 0.1, 0.62 by 0.38.
    calibration = CalibrationError(np.array([0.1, 0.1, 0.62, 0.62]), np.array([0, 0, 1, 1]))
    assert calibration.measure_error(np.ones(4)) == pytest.approx(0.5 * 0.1 + 0.5 * 0.38)
    # Of weight 3 of 4 in the first bin, and with one row of the second.
    weight = np.array([1.0, 2.0, 0.0, 1.0])
    assert calibration.measure_error(weight) == pytest.approx(0.75 * 0.1 + 0.25 * 0.38)


def test_errors_of_opposite_signs_cancel_within_a_bin_and_not_between_bins() -> None:
    within = CalibrationError(np.array([0.5, 0.5]), np.array([0, 1]))
    assert within.measure_error(np.ones(2)) == 0
    between = CalibrationError(np.array([0.4, 0.6]), np.array([1, 0]))
    assert between.measure_error(np.ones(2)) == pytest.approx(0.6)


def test_0_and_1_are_in_the_outermost_bins() -> None:
    # 1/15 is the upper end of the first bin, and belongs to it.
    probability = np.array([0.0, 1 / CALIBRATION_BINS, 1.0])
    calibration = CalibrationError(probability, np.array([1 / 15, 0, 1.0]))
    assert calibration.measure_error(np.ones(3)) == pytest.approx(0)
