"""Lists of numbers on one scale: what is learnt, and values worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.columns.values import read_column
from headrace.features.series import SeriesFeature, SeriesSection
from tests.fitting import fit_column, run_feature


def test_they_are_scaled_truncated_and_padded_with_the_fill() -> None:
    lists = read_column(pa.array([[1.0, None, 5.0], [3.0]], pa.list_(pa.float64())), "reals")
    feature = SeriesFeature(name="f", column="c", length=2, center=1.0, scale=2.0, fill=3.0)
    assert run_feature(feature, lists)["f"].tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_all_elements_have_one_scale() -> None:
    lists = pa.array([[1.0, 2.0], [None, 6.0], None], pa.list_(pa.float64()))
    feature = fit_column(SeriesSection(kind="series", length=2), lists, "reals")
    elements = np.array([1.0, 2.0, 6.0])
    assert (feature.center, feature.scale) == pytest.approx((elements.mean(), elements.std()))
