"""A number on a scale: what is learnt from the train split, and values worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.columns.values import Values
from headrace.errors import LakeError
from headrace.features.numbers import Clip, Constant
from headrace.features.scaled import (
    Log1pSection,
    MinMaxSection,
    RobustSection,
    ScaledFeature,
    StandardizeSection,
)
from headrace.transform.arrow import ArrowTransform
from tests.fitting import fit_column, fit_table, read_reals, run_feature

NUMBERS = [1.0, 2.0, 2.0, 3.0, None, 100.0, float("nan"), 4.0]
PRESENT = np.array([1.0, 2.0, 2.0, 3.0, 100.0, 4.0])


def scale(values: Values, **options: object) -> list[float]:
    feature = ScaledFeature(name="f", column="c", **options)
    return run_feature(feature, values)["f"].tolist()


def test_it_fills_before_it_scales() -> None:
    column = read_reals(1.0, None, float("nan"), float("inf"), 7.0)
    assert scale(column, center=3.0, scale=2.0, fill=3.0) == [-1.0, 0.0, 0.0, 0.0, 2.0]
    assert scale(column, center=3.0, scale=2.0, fill=5.0) == [-1.0, 1.0, 1.0, 1.0, 2.0]


def test_it_clips_then_takes_the_logarithm() -> None:
    column = read_reals(-5.0, -1.0, 0.0, np.e - 1, 100.0)
    assert scale(column, clip=(0.0, np.e - 1), log1p=True) == pytest.approx([0, 0, 0, 1, 1])
    feature = ScaledFeature(name="f", column="c", log1p=True, fill=9.0, indicator=True)
    arrays = run_feature(feature, column)
    assert arrays["f"].tolist()[:3] == [9.0, 9.0, 0.0]  # <= -1 is missing
    assert arrays["f_missing"].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_it_ends_at_the_largest_float32() -> None:
    largest = float(np.finfo(np.float32).max)
    assert scale(read_reals(1e300, -1e300)) == [largest, -largest]


def test_standardize() -> None:
    feature = fit_column(StandardizeSection(kind="standardize"), NUMBERS)
    assert feature.center == pytest.approx(PRESENT.mean())
    assert feature.scale == pytest.approx(PRESENT.std())
    assert feature.fill == pytest.approx(PRESENT.mean())


def test_min_max_and_robust() -> None:
    feature = fit_column(MinMaxSection(kind="min_max"), NUMBERS)
    assert (feature.center, feature.scale) == (1.0, 99.0)
    feature = fit_column(RobustSection(kind="robust", impute="median"), NUMBERS)
    low, middle, high = np.quantile(PRESENT, [0.25, 0.5, 0.75])
    assert (feature.center, feature.scale) == pytest.approx((middle, high - low))
    assert feature.fill == pytest.approx(middle)


def test_log1p_is_fitted_on_logarithms() -> None:
    feature = fit_column(StandardizeSection(kind="standardize", log1p=True), NUMBERS)
    assert feature.center == pytest.approx(np.log1p(PRESENT).mean())
    assert feature.scale == pytest.approx(np.log1p(PRESENT).std())
    plain = fit_column(Log1pSection(kind="log1p"), NUMBERS)
    assert (plain.center, plain.scale, plain.log1p) == (0.0, 1.0, True)
    assert plain.fill == pytest.approx(np.log1p(PRESENT).mean())


@pytest.mark.parametrize("log1p", [False, True])
def test_outliers_are_clipped_before_anything_is_fitted(log1p: bool) -> None:
    low, high = np.quantile(PRESENT, [0.25, 0.75])
    limits = {
        "values": (Clip(values=[None, 4.0]), (None, 4.0)),
        "quantiles": (Clip(quantiles=[0.0, 1.0]), (1.0, 100.0)),
        "iqr": (Clip(iqr=1.5), (low - 1.5 * (high - low), high + 1.5 * (high - low))),
    }
    for name, (clip, expected) in limits.items():
        if log1p and name == "iqr":  # the quartiles of logarithms are others
            continue
        feature = fit_column(
            StandardizeSection(kind="standardize", clip=clip, log1p=log1p), NUMBERS
        )
        for limit, wanted in zip(feature.clip, expected, strict=True):
            assert limit == (wanted if wanted is None else pytest.approx(wanted)), name
        clipped = np.clip(PRESENT, *expected)
        clipped = np.log1p(clipped) if log1p else clipped
        assert feature.center == pytest.approx(clipped.mean()), name
        assert feature.scale == pytest.approx(clipped.std()), name


@pytest.mark.parametrize(
    ("impute", "expected"),
    [
        ("mean", PRESENT.mean()),
        ("median", 2.5),
        ("most_frequent", 2.0),
        (Constant(constant=-7), -7.0),
    ],
)
def test_what_a_missing_value_becomes(impute: object, expected: float) -> None:
    section = StandardizeSection(kind="standardize", impute=impute, indicator=True)
    table = pa.table({"x": NUMBERS})
    spec = fit_table(table, {"x": "real"}, {"x": section})
    assert spec.features[0].fill == pytest.approx(expected)
    arrays = ArrowTransform(spec)(table)
    assert arrays["x"][4] == pytest.approx((expected - PRESENT.mean()) / PRESENT.std(), rel=1e-6)
    assert arrays["x_missing"].tolist() == [0, 0, 0, 0, 1, 0, 1, 0]


def test_of_several_most_frequent_numbers_the_smallest_is_taken() -> None:
    section = StandardizeSection(kind="standardize", impute="most_frequent")
    assert fit_column(section, [10.0, 9.0, 10.0, 9.0, 1.0]).fill == 9.0


def test_constant_and_empty_columns_have_scale_one() -> None:
    table = pa.table({"c": [5.0, 5.0], "e": pa.array([float("nan"), None], pa.float64())})
    sections = {
        "standardize": StandardizeSection,
        "min_max": MinMaxSection,
        "robust": RobustSection,
    }
    for kind, section in sections.items():
        features = {n: section(kind=kind) for n in "ce"}
        c, e = fit_table(table, {"c": "real", "e": "real"}, features).features
        assert (c.center, c.scale, c.fill) == (5.0, 1.0, 5.0)
        assert (e.center, e.scale, e.fill) == (0.0, 1.0, 0.0)


def test_an_overflowing_spread_is_a_clear_error() -> None:
    extreme = [1e300, -1e300]
    with pytest.raises(LakeError, match=r"feature 'f'.*overflows"):
        fit_column(StandardizeSection(kind="standardize"), extreme)
    clipped = StandardizeSection(kind="standardize", clip=Clip(values=[-1.0, 1.0]))
    assert fit_column(clipped, extreme).scale == 1.0
