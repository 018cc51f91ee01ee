"""Example rows: typical of what the transform was fitted on, valid in every kind of column."""

import math

import pandas as pd
import pytest
import tensorflow as tf

from headrace.features.buckets import BucketsFeature
from headrace.features.cyclic import CyclicFeature
from headrace.features.hash import HashFeature
from headrace.features.image import ImageFeature
from headrace.features.kind import FittedFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.series import SeriesFeature
from headrace.features.tokens import TokensFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.train.input_example import make_example_rows
from headrace.transform.spec import RawColumn, TransformSpec

SCALED = ScaledFeature(name="f", column="c", center=39.0, scale=18.0)
LOGGED = ScaledFeature(name="f", column="c", log1p=True, center=math.log(10), scale=math.log(10))
WORDS = VocabularyFeature(name="f", column="c", values=("EWR", "JFK", "LGA"))
YEARS = VocabularyFeature(name="f", column="c", values=("2013", "9007199254740993"))
TAGS = TokensFeature(name="f", column="c", length=9, values=("x", "y", "z"))
CODES = TokensFeature(name="f", column="c", length=9, values=("7", "8", "9"))
HASHED_TAGS = TokensFeature(name="f", column="c", length=9, buckets=5)
SERIES = SeriesFeature(name="f", column="c", length=3, center=5.0, scale=2.0)
TINY = ImageFeature(name="f", column="c", height=1, width=2, channels=1)
NOW = ["2013-01-01T12:00:00Z", "2013-07-01T18:30:00Z"]


@pytest.mark.parametrize(
    ("kind", "feature", "expected"),
    [
        ("real", SCALED, [39.0, 57.0]),
        ("integer", SCALED, [39, 57]),
        ("real", LOGGED, [9.0, 99.0]),
        ("integer", CyclicFeature(name="f", column="c", period=24.0), [0, 12]),
        ("real", BucketsFeature(name="f", column="c", boundaries=(1.0, 2.0, 4.0)), [1.0, 4.0]),
        ("string", WORDS, ["EWR", "LGA"]),
        ("integer", YEARS, [2013, 2**53 + 1]),
        ("string", HashFeature(name="f", columns=("c",), buckets=5), ["example", ""]),
        ("string", TAGS, ["x y z", "z"]),
        ("timestamp", HashFeature(name="f", columns=("c",), buckets=5), NOW),
        ("strings", TAGS, [["x", "y"], []]),
        ("strings", HASHED_TAGS, [["example"], []]),
        ("integers", CODES, [[7, 8], []]),
        ("reals", SERIES, [[5.0, 7.0, 5.0], [5.0]]),
        ("integers", SERIES, [[5, 7, 5], [5]]),
        ("integers", TINY, [[0, 0], [255, 255]]),
    ],
)
def test_two_values_and_a_null(kind: str, feature: FittedFeature, expected: list) -> None:
    for nullable in (True, False):
        column = RawColumn(name="c", kind=kind, nullable=nullable)
        spec = TransformSpec(raw=(column,), derived=(), features=(feature,))
        values = make_example_rows(spec)["c"]
        shown = values.tolist()
        assert (pytest.approx(expected) if kind == "real" else expected) == shown[:2]
        if nullable:
            assert pd.isna(shown[2])
        else:
            assert shown[2] == shown[0]
            assert values.dtype == ("float64" if kind == "real" else "object")


def test_images_are_files_of_the_right_size() -> None:
    column = RawColumn(name="c", kind="bytes", nullable=True)
    spec = TransformSpec(raw=(column,), derived=(), features=(TINY,))
    black, white, none = make_example_rows(spec)["c"]
    assert tf.io.decode_png(black).numpy().tolist() == [[[0], [0]]]
    assert tf.io.decode_png(white).numpy().tolist() == [[[255], [255]]]
    assert none is None


def test_columns_that_no_feature_reads_are_included() -> None:
    """Derivations read them."""
    kinds = ("integer", "real", "timestamp", "string", "integers", "reals", "strings")
    raw = tuple(RawColumn(name=f"c_{kind}", kind=kind, nullable=False) for kind in kinds)
    rows = make_example_rows(TransformSpec(raw=raw, derived=(), features=()))
    assert rows.iloc[0].tolist() == [1, 1.0, NOW[0], "example", [1, 2], [1.0, 2.0], ["example"]]
