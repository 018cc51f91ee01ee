"""Fitting, without an engine: what the recipe asks for and what the train split's values give."""

import math

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.recipe.times import micros_of
from headrace.transform.arrow import ArrowTransform, read_columns
from headrace.transform.fit import Unfitted, class_weights
from headrace.transform.spec import LabelSpec, TransformSpec
from headrace.transform.variables import LABEL


def fitted(table: pa.Table, raw: dict, features: dict, **options: object) -> TransformSpec:
    """Fit on a table in memory, given to the statistics in two parts."""
    label = options.pop("label", s.Label(expression="y"))
    unfitted = Unfitted(raw, options.pop("derive", {}), features, label)
    half = table.num_rows // 2
    statistics: dict = {}
    for part in (table.slice(0, half), table.slice(half)):
        columns = read_columns(part, raw, unfitted.derived())
        found = {key: v.of(columns) for key, v in unfitted.variables().items()}
        if LABEL in table.column_names:
            found[LABEL] = unfitted.label_of(part[LABEL])
        for key, summary in found.items():
            known = [statistics[key]] if key in statistics else []
            statistics[key] = type(summary).merge([*known, summary])
    return unfitted.fitted(statistics, set())


NUMBERS = [1.0, 2.0, 2.0, 3.0, None, 100.0, float("nan"), 4.0]
THERE = np.array([1.0, 2.0, 2.0, 3.0, 100.0, 4.0])
X = pa.table({"x": pa.array(NUMBERS)})


def one(section: object, table: pa.Table = X, kind: str = "real") -> object:
    (feature,) = fitted(table, {"x": kind}, {"x": section}).features
    return feature


def test_standardize() -> None:
    feature = one(s.Standardize(kind="standardize"))
    assert feature.center == pytest.approx(THERE.mean())
    assert feature.scale == pytest.approx(THERE.std())
    assert feature.fill == pytest.approx(THERE.mean())


def test_min_max_and_robust() -> None:
    feature = one(s.MinMax(kind="min_max"))
    assert (feature.center, feature.scale) == (1.0, 99.0)
    feature = one(s.Robust(kind="robust", impute="median"))
    low, middle, high = np.quantile(THERE, [0.25, 0.5, 0.75])
    assert (feature.center, feature.scale) == pytest.approx((middle, high - low))
    assert feature.fill == pytest.approx(middle)


def test_log1p_is_fitted_on_logarithms() -> None:
    feature = one(s.Standardize(kind="standardize", log1p=True))
    assert feature.center == pytest.approx(np.log1p(THERE).mean())
    assert feature.scale == pytest.approx(np.log1p(THERE).std())
    plain = one(s.Log1p(kind="log1p"))
    assert (plain.center, plain.scale, plain.log1p) == (0.0, 1.0, True)
    assert plain.fill == pytest.approx(np.log1p(THERE).mean())


@pytest.mark.parametrize("log1p", [False, True])
def test_outliers_are_clipped_before_anything_is_fitted(log1p: bool) -> None:
    low, high = np.quantile(THERE, [0.25, 0.75])
    limits = {
        "values": (s.Clip(values=[None, 4.0]), (None, 4.0)),
        "quantiles": (s.Clip(quantiles=[0.0, 1.0]), (1.0, 100.0)),
        "iqr": (s.Clip(iqr=1.5), (low - 1.5 * (high - low), high + 1.5 * (high - low))),
    }
    for name, (clip, expected) in limits.items():
        if log1p and name == "iqr":  # the quartiles of logarithms are others
            continue
        feature = one(s.Standardize(kind="standardize", clip=clip, log1p=log1p))
        for found, wanted in zip(feature.clip, expected, strict=True):
            assert found == (wanted if wanted is None else pytest.approx(wanted)), name
        there = np.clip(THERE, *expected)
        there = np.log1p(there) if log1p else there
        assert feature.center == pytest.approx(there.mean()), name
        assert feature.scale == pytest.approx(there.std()), name


@pytest.mark.parametrize(
    ("impute", "expected"),
    [
        ("mean", THERE.mean()),
        ("median", 2.5),
        ("most_frequent", 2.0),
        (s.Constant(constant=-7), -7.0),
    ],
)
def test_what_a_missing_value_becomes(impute: object, expected: float) -> None:
    section = s.Standardize(kind="standardize", impute=impute, indicator=True)
    spec = fitted(X, {"x": "real"}, {"x": section})
    assert spec.features[0].fill == pytest.approx(expected)
    out = ArrowTransform(spec)(X)
    assert out["x"][4] == pytest.approx((expected - THERE.mean()) / THERE.std(), rel=1e-6)
    assert out["x_missing"].tolist() == [0, 0, 0, 0, 1, 0, 1, 0]


def test_of_several_most_frequent_numbers_the_smallest_is_taken() -> None:
    table = pa.table({"x": [10.0, 9.0, 10.0, 9.0, 1.0]})
    assert one(s.Standardize(kind="standardize", impute="most_frequent"), table).fill == 9.0


def test_quantile_and_fixed_buckets() -> None:
    table = pa.table({"x": np.arange(101.0)})
    feature = one(s.QuantileBuckets(kind="quantile_buckets", buckets=4), table)
    assert feature.boundaries == (25.0, 50.0, 75.0)
    same = pa.table({"x": [1.0] * 50 + [2.0]})
    assert one(s.QuantileBuckets(kind="quantile_buckets", buckets=4), same).boundaries == (1.0,)
    fixed = one(s.FixedBuckets(kind="fixed_buckets", boundaries=[0.0, 1.5]), table)
    assert fixed.boundaries == (0.0, 1.5)


def test_constant_and_empty_columns_have_scale_one() -> None:
    table = pa.table({"c": [5.0, 5.0], "e": pa.array([float("nan"), None], pa.float64())})
    sections = {
        "standardize": s.Standardize, "min_max": s.MinMax, "robust": s.Robust,
    }  # fmt: skip
    for kind, section in sections.items():
        features = {n: section(kind=kind) for n in "ce"}
        c, e = fitted(table, {"c": "real", "e": "real"}, features).features
        assert (c.center, c.scale, c.fill) == (5.0, 1.0, 5.0)
        assert (e.center, e.scale, e.fill) == (0.0, 1.0, 0.0)


def test_an_overflowing_spread_is_a_clear_error() -> None:
    table = pa.table({"x": [1e300, -1e300]})
    with pytest.raises(LakeError, match=r"feature 'x'.*overflows"):
        one(s.Standardize(kind="standardize"), table)
    clipped = s.Standardize(kind="standardize", clip=s.Clip(values=[-1.0, 1.0]))
    assert one(clipped, table).scale == 1.0


WORDS = ["z"] * 3 + ["é"] * 2 + ["b"] * 2 + ["B"] * 2 + ["once", None]


def test_vocabulary_order_is_count_then_bytes_and_limits_hold() -> None:
    table = pa.table({"w": WORDS})
    features = {
        "all": s.Vocabulary(kind="vocabulary", column="w"),
        "often": s.Vocabulary(kind="vocabulary", column="w", min_count=2),
        "two": s.Vocabulary(kind="vocabulary", column="w", max_size=2, oov_ids=3),
        "filled": s.Vocabulary(kind="vocabulary", column="w", impute="most_frequent"),
        "named": s.Vocabulary(kind="vocabulary", column="w", impute=s.Constant(constant="b")),
    }
    found = fitted(table, {"w": "string"}, features).features
    assert found[0].values == ("z", "B", "b", "é", "once")
    assert found[1].values == ("z", "B", "b", "é")
    assert found[2].values == ("z", "B")
    assert found[2].cardinality == 1 + 3 + 2
    assert (found[0].fill, found[3].fill, found[4].fill) == (None, "z", "b")


def test_words_and_list_elements_are_counted() -> None:
    table = pa.table({"t": ["A b, b", "b"], "l": [[3, 1], [1, None]]})
    features = {
        "t": s.TextIds(kind="text", length=4),
        "raw": s.TextIds(kind="text", column="t", length=4, lower=False, strip_punctuation=False),
        "l": s.MultiValued(kind="multi_valued", length=2),
        "h": s.MultiValued(kind="multi_valued", column="l", length=2, buckets=5),
    }
    t, raw, lists, hashed = fitted(table, {"t": "string", "l": "integers"}, features).features
    assert t.values == ("b", "a")
    assert raw.values == ("b", "A", "b,")
    assert lists.values == ("1", "3")
    assert (hashed.values, hashed.buckets) == ((), 5)


def test_a_series_has_one_scale_for_all_its_elements() -> None:
    table = pa.table({"x": pa.array([[1.0, 2.0], [None, 6.0], None], pa.list_(pa.float64()))})
    section = s.Series(kind="series", length=2)
    feature = one(section, table, "reals")
    there = np.array([1.0, 2.0, 6.0])
    assert (feature.center, feature.scale) == pytest.approx((there.mean(), there.std()))


def test_derived_columns_are_fitted() -> None:
    table = pa.table({"clock": [130, 1200, 1259, 9999]})
    features = {"hour": s.Vocabulary(kind="vocabulary")}
    derive = {"hour": s.HourOfDay(kind="hour_of_day", columns=["clock"])}
    (hour,) = fitted(table, {"clock": "integer"}, features, derive=derive).features
    assert hour.values == ("12", "1")


def test_each_variable_is_asked_for_once() -> None:
    features = {
        "a": s.Standardize(kind="standardize", column="x"),
        "b": s.MinMax(kind="min_max", column="x"),
        "c": s.Robust(kind="robust", column="x", clip=s.Clip(iqr=1.0)),
        "d": s.Vocabulary(kind="vocabulary", column="x"),
        "e": s.Vocabulary(kind="vocabulary", column="x", min_count=5),
    }
    assert len(Unfitted({"x": "integer"}, {}, features).variables()) == 2


def test_labels_of_classes_are_in_the_order_of_numbers_then_texts() -> None:
    table = pa.table({"x": [1.0] * 5, LABEL: ["10", "9", "b", "-1", "a"]})
    label = s.Label(expression="y", kind="classes")
    spec = fitted(table, {"x": "real"}, {"x": s.MinMax(kind="min_max")}, label=label)
    assert spec.label == LabelSpec(kind="classes", classes=("-1", "9", "10", "a", "b"))


def test_a_standardized_label() -> None:
    table = pa.table({"x": [1.0] * 4, LABEL: [1.0, 2.0, 3.0, 6.0]})
    label = s.Label(expression="y", kind="regression", standardize=True, baseline="x")
    spec = fitted(table, {"x": "real"}, {"x": s.MinMax(kind="min_max")}, label=label)
    assert spec.label.center == pytest.approx(3.0)
    assert spec.label.scale == pytest.approx(math.sqrt(3.5))
    assert spec.label.baseline
    assert not spec.label.weighted


def test_class_weights() -> None:
    texts = s.Label(expression="y", kind="classes", class_weight="balanced")
    unfitted = Unfitted({}, {}, {}, texts)
    found = unfitted.label_of(pa.array(["a", "a", "a", "b"]))
    assert class_weights(texts, found) == pytest.approx({"a": 4 / 6, "b": 2.0})
    binary = s.Label(expression="y", class_weight={"true": 5.0})
    found = Unfitted({}, {}, {}, binary).label_of(pa.array([1.0, 0.0, 0.0]))
    assert class_weights(binary, found) == {"true": 5.0, "false": 1.0}
    wrong = s.Label(expression="y", class_weight={"yes": 5.0})
    with pytest.raises(LakeError, match=r"names 'yes', which the train split does not have"):
        class_weights(wrong, found)


def test_times_of_the_recipe() -> None:
    assert micros_of("1970-01-02") == 86_400_000_000
    assert micros_of("1970-01-01T01:00:00+01:00") == 0
