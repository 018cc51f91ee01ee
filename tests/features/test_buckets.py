"""Numbers as ids of intervals: boundaries of the train split, and ids worked out by hand."""

import numpy as np

from headrace.features.buckets import BucketsFeature, FixedBucketsSection, QuantileBucketsSection
from tests.fitting import fit_column, read_reals, run_feature


def test_intervals_are_closed_on_the_left() -> None:
    feature = BucketsFeature(name="f", column="c", boundaries=(0.0, 2.0))
    ids = run_feature(feature, read_reals(-1.0, 0.0, 0.5, 2.0, 9.0, None))["f"]
    assert ids.tolist() == [1, 2, 2, 3, 3, 0]
    assert feature.cardinality == 4


def test_quantile_and_fixed_buckets() -> None:
    quartiles = QuantileBucketsSection(kind="quantile_buckets", buckets=4)
    assert fit_column(quartiles, np.arange(101.0)).boundaries == (25.0, 50.0, 75.0)
    assert fit_column(quartiles, [1.0] * 50 + [2.0]).boundaries == (1.0,)
    fixed = FixedBucketsSection(kind="fixed_buckets", boundaries=[0.0, 1.5])
    assert fit_column(fixed, [7.0]).boundaries == (0.0, 1.5)
