"""Fitting on Spark: train rows only, exact moments, vocabularies in a fixed order."""

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import LakeError
from pipelines.recipe import sections as s
from pipelines.transform.spark import Fitted, Unfitted, fit

pytestmark = pytest.mark.spark


def fitted(spark: object, frame: pd.DataFrame, raw: dict, features: dict, **options) -> Fitted:
    rows = spark.createDataFrame(frame).repartition(3)
    unfitted = Unfitted(raw, options.pop("derive", {}), features)
    return fit(rows, unfitted, bucket="bucket", train="train", kept={"train", "test"})


def test_moments_are_right_where_the_naive_formula_fails(spark: object) -> None:
    rng = np.random.default_rng(0)
    values = 1e9 + rng.normal(0, 1e-3, 5000)
    frame = pd.DataFrame({"x": values, "bucket": ["train"] * 4000 + ["test"] * 1000})
    naive = np.sqrt(np.mean(values[:4000] ** 2) - np.mean(values[:4000]) ** 2)
    assert not 0.9e-3 < naive < 1.1e-3
    found = fitted(spark, frame, {"x": "real"}, {"x": s.Standardize(kind="standardize")})
    (feature,) = found.spec.features
    train = values[:4000].astype(np.longdouble)
    assert feature.mean == pytest.approx(float(train.mean()), abs=1e-9)
    assert feature.scale == pytest.approx(float(train.std()), rel=1e-6)
    assert found.buckets == {"train": 4000, "test": 1000}


def test_only_train_rows_enter_statistics_and_missing_values_do_not(spark: object) -> None:
    frame = pd.DataFrame(
        {
            "x": [1.0, 3.0, None, float("inf"), 1e6, 2e6],
            "w": ["b", "a", "a", None, "secret", "b"],
            "bucket": ["train"] * 4 + ["test", "duplicate"],
        }
    )
    features = {
        "x": s.Standardize(kind="standardize"),
        "w": s.Vocabulary(kind="vocabulary"),
        "h": s.Hash(kind="hash", column="w", buckets=4),
    }
    found = fitted(spark, frame, {"x": "real", "w": "string"}, features)
    x, w, h = found.spec.features
    assert (x.mean, x.scale) == (2.0, 1.0)
    assert w.values == ("a", "b")
    assert h.buckets == 4
    assert found.buckets == {"train": 4, "test": 1, "duplicate": 1}


def test_vocabulary_order_is_count_then_bytes_and_limits_hold(spark: object) -> None:
    words = ["z"] * 3 + ["é"] * 2 + ["b"] * 2 + ["B"] * 2 + ["once"]
    frame = pd.DataFrame({"w": words, "bucket": "train"})
    features = {
        "all": s.Vocabulary(kind="vocabulary", column="w"),
        "often": s.Vocabulary(kind="vocabulary", column="w", min_count=2),
        "two": s.Vocabulary(kind="vocabulary", column="w", max_size=2),
    }
    found = fitted(spark, frame, {"w": "string"}, features).spec.features
    assert found[0].values == ("z", "B", "b", "é", "once")
    assert found[1].values == ("z", "B", "b", "é")
    assert found[2].values == ("z", "B")


def test_nullable_looks_at_published_rows_only(spark: object) -> None:
    frame = pd.DataFrame(
        {
            "a": ["x", "x", None],
            "b": ["x", None, "x"],
            "bucket": ["train", "test", "label is null"],
        }
    )
    features = {n: s.Hash(kind="hash", buckets=2) for n in "ab"}
    raw = fitted(spark, frame, {"a": "string", "b": "string"}, features).spec.raw
    assert {r.name: r.nullable for r in raw} == {"a": False, "b": True}


def test_constant_and_empty_columns_have_scale_one(spark: object) -> None:
    frame = pd.DataFrame({"c": [5.0, 5.0], "e": [float("nan")] * 2, "bucket": "train"})
    features = {n: s.Standardize(kind="standardize") for n in "ce"}
    c, e = fitted(spark, frame, {"c": "real", "e": "real"}, features).spec.features
    assert (c.mean, c.scale) == (5.0, 1.0)
    assert (e.mean, e.scale) == (0.0, 1.0)


def test_an_overflowing_variance_is_a_clear_error(spark: object) -> None:
    frame = pd.DataFrame({"x": [1e300, -1e300], "bucket": "train"})
    with pytest.raises(LakeError, match=r"feature 'x'.*overflows"):
        fitted(spark, frame, {"x": "real"}, {"x": s.Standardize(kind="standardize")})


def test_derived_columns_are_fitted(spark: object) -> None:
    frame = pd.DataFrame({"clock": [130, 1200, 1259, 9999], "bucket": "train"})
    features = {"hour": s.Vocabulary(kind="vocabulary")}
    derive = {"hour": s.HourOfDay(kind="hour_of_day", columns=["clock"])}
    (hour,) = fitted(spark, frame, {"clock": "integer"}, features, derive=derive).spec.features
    assert hour.values == ("12", "1")
