"""Slices by the values of columns: restored values, combinations, buckets, few rows."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.evaluate.slices import (
    SliceResult,
    assign_slices,
    list_slice_columns,
    score_slices,
    sort_worst_first,
)
from headrace.features.buckets import BucketsFeature
from headrace.features.cyclic import CyclicFeature
from headrace.features.hash import HashFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.binary import BinaryScorer
from headrace.recipe import sections as s
from headrace.transform.spec import RawColumn, TransformSpec

SPEC = TransformSpec(
    raw=tuple(RawColumn(name=n, kind="real", nullable=True) for n in "abcdefg"),
    derived=(),
    features=(
        VocabularyFeature(name="word", column="a", values=("x", "y")),
        ScaledFeature(name="heat", column="b", center=50.0, scale=10.0, indicator=True),
        ScaledFeature(name="size", column="c", center=1.0, scale=0.5, log1p=True),
        BucketsFeature(name="age", column="d", boundaries=(10.0, 20.0)),
        HashFeature(name="tail", columns=("e",), buckets=3),
        CyclicFeature(name="hour", column="f", period=24.0),
    ),
)
ANGLE = 2 * np.pi * np.array([0, 6, 6, 23]) / 24
ROWS = pa.table(
    {
        "word": pa.array([0, 1, 2, 3], pa.int32()),
        "heat": pa.array([0.0, 1.0, 1.0, 0.0], pa.float32()),
        "heat_missing": pa.array([0.0, 0.0, 0.0, 1.0], pa.float32()),
        "size": pa.array((np.log1p([0, 1, 2, 3]) - 1) / 0.5, pa.float32()),
        "age": pa.array([0, 1, 2, 3], pa.int32()),
        "tail": pa.array([0, 1, 2, 3], pa.int32()),
        "hour_sin": pa.array(np.sin(ANGLE), pa.float32()),
        "hour_cos": pa.array(np.cos(ANGLE), pa.float32()),
        "kept_city": pa.array(["Rome", None, "Rome", "Köln"]),
        "kept_year": pa.array([2012, 2013, None, 2013], pa.int64()),
        "kept_speed": pa.array([1.5, np.nan, 3.0, None], pa.float64()),
        "kept_at": pa.array([0, 86_400_000_000, 1, None], pa.timestamp("us", "UTC")),
    }
)
KEPT = ("city", "year", "speed", "at", "word_raw")


def name_slices(*columns: str, buckets: list[float] | None = None) -> list[str]:
    """Return the name of each row's slice."""
    item = s.Slice(columns=list(columns), buckets=buckets)
    needed = list_slice_columns(item, SPEC, KEPT)
    codes, names = assign_slices(item, SPEC, ROWS.select(needed))
    return [names[code] for code in codes]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("word", ["word=missing", "word=unknown", "word=x", "word=y"]),
        ("heat", ["heat=50", "heat=60", "heat=60", "heat missing"]),
        ("size", ["size=0", "size=1", "size=2", "size=3"]),
        ("age", ["age=missing", "age=below to 10", "age=10 to 20", "age=20 to above"]),
        ("tail", ["tail=missing", "tail=bucket 1", "tail=bucket 2", "tail=bucket 3"]),
        ("hour", ["hour=0", "hour=6", "hour=6", "hour=23"]),
        ("city", ["city=Rome", "city=missing", "city=Rome", "city=Köln"]),
        ("year", ["year=2012", "year=2013", "year missing", "year=2013"]),
        ("speed", ["speed=1.5", "speed missing", "speed=3", "speed missing"]),
        ("at", ["at=1970-01-01", "at=1970-01-02", "at=1970-01-01", "at=missing"]),
    ],
)
def test_values_are_restored(column: str, expected: list[str]) -> None:
    assert name_slices(column) == expected


def test_every_combination_of_values_is_a_slice() -> None:
    assert name_slices("city", "year") == [
        "city=Rome, year=2012",
        "city=missing, year=2013",
        "city=Rome, year missing",
        "city=Köln, year=2013",
    ]


def test_buckets_of_the_recipe_and_of_the_rows() -> None:
    assert name_slices("year", buckets=[2013]) == [
        "year below 2013", "year from 2013", "year missing", "year from 2013"
    ]  # fmt: skip
    item = s.Slice(columns=["many"])
    numbers = pa.table({"kept_many": np.arange(100)})
    codes, names = assign_slices(item, SPEC, numbers)
    assert len(names) == 5
    assert np.bincount(codes).tolist() == [20] * 5


def test_kept_columns_go_before_features_of_their_name() -> None:
    rows = ROWS.append_column("kept_word", pa.array(["a", "b", "c", "d"]))
    codes, names = assign_slices(s.Slice(columns=["word"]), SPEC, rows)
    assert [names[code] for code in codes] == ["word=a", "word=b", "word=c", "word=d"]
    assert list_slice_columns(s.Slice(columns=["word"]), SPEC, ["word"]) == ["kept_word"]


def test_metrics_of_a_slice_are_those_of_its_rows() -> None:
    random = np.random.default_rng(0)
    truth, score = (random.random(500) < 0.4).astype(float), random.random(500)
    codes = np.array([0] * 20 + [1] * 480)
    settings = s.Evaluate(bootstrap=30, min_rows=100)
    results = score_slices(
        s.Slice(columns=["c"]),
        codes,
        ["few", "many"],
        lambda rows: BinaryScorer(truth[rows], score[rows], 0.5),
        np.ones(500),
        settings,
    )
    assert [(r.value, r.rows, r.is_small) for r in results] == [
        ("few", 20, True),
        ("many", 480, False),
    ]
    alone = BinaryScorer(truth[20:], score[20:], 0.5)
    assert results[1].metrics == {**alone.count_outcomes(), **alone(np.ones(480))}
    interval = results[1].intervals["roc_auc"]
    assert interval.low < results[1].metrics["roc_auc"] < interval.high
    wide = results[0].intervals["roc_auc"]
    assert wide.high - wide.low > interval.high - interval.low


def test_the_worst_come_first_and_few_rows_last() -> None:
    def result(value: str, metric: float | None, *, small: bool = False) -> SliceResult:
        metrics = {} if metric is None else {"m": metric}
        return SliceResult(("c",), value, 10, small, metrics)

    results = [result("good", 0.9), result("tiny", 0.1, small=True), result("bad", 0.2),
               result("none", None)]  # fmt: skip
    order = [r.value for r in sort_worst_first(results, "m", higher_is_better=True)]
    assert order == ["bad", "good", "tiny", "none"]
    opposite = [r.value for r in sort_worst_first(results, "m", higher_is_better=False)]
    assert opposite == ["good", "bad", "tiny", "none"]
