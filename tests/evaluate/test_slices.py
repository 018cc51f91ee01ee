"""Slices by the values of columns: raw ones, restored ones of older versions, few rows."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import ModelError
from headrace.evaluate.sketched import SketchedRows, sketch_predictions
from headrace.evaluate.slices import (
    SliceResult,
    assign_slices,
    find_slice_source,
    score_slices,
    sort_worst_first,
)
from headrace.features.buckets import BucketsFeature
from headrace.features.cyclic import CyclicFeature
from headrace.features.hash import HashFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.tokens import TokensFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.binary import BinaryScorer
from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.recipe import sections as s
from headrace.transform.spec import DerivedColumn, RawColumn, TransformSpec

BIG = 2**53
SPEC = TransformSpec(
    raw=tuple(RawColumn(name=n, kind="real", nullable=True) for n in "abcdefgh"),
    derived=(DerivedColumn(name="day", op="time_part", columns=("h",), part="day_of_year"),),
    features=(
        VocabularyFeature(name="word", column="a", values=("x", "y")),
        VocabularyFeature(name="store", column="g", values=("5", "6")),
        ScaledFeature(name="heat", column="b", center=50.0, scale=10.0, indicator=True),
        ScaledFeature(name="size", column="c", center=1.0, scale=0.5, log1p=True),
        BucketsFeature(name="age", column="d", boundaries=(10.0, 20.0)),
        HashFeature(name="tail", columns=("e",), buckets=3),
        HashFeature(name="pair", columns=("a", "g"), buckets=3),
        CyclicFeature(name="hour", column="f", period=24.0),
        CyclicFeature(name="season", column="day", period=365.0),
        TokensFeature(name="essay", column="e", values=("x",), length=2),
    ),
)
ANGLE = 2 * np.pi * np.array([0, 6, 6, 23]) / 24
KEPT = {"city": "string", "year": "integer", "speed": "real", "at": "timestamp"}
ROWS = pa.table(
    {
        # What the model reads.
        "word": pa.array([0, 1, 2, 3], pa.int32()),
        "store": pa.array([0, 1, 2, 3], pa.int32()),
        "heat": pa.array([0.0, 1.0, 1.0, 0.0], pa.float32()),
        "heat_missing": pa.array([0.0, 0.0, 0.0, 1.0], pa.float32()),
        "size": pa.array((np.log1p([0, 1, 2, 3]) - 1) / 0.5, pa.float32()),
        "age": pa.array([0, 1, 2, 3], pa.int32()),
        "tail": pa.array([0, 1, 2, 3], pa.int32()),
        "hour_sin": pa.array([*np.sin(ANGLE[:3]), 0.0], pa.float32()),
        "hour_cos": pa.array([*np.cos(ANGLE[:3]), 0.0], pa.float32()),
        # Raw columns.
        "kept_city": pa.array(["Rome", None, "Rome", "Köln"]),
        "kept_year": pa.array([2012, 2013, None, 2013], pa.int64()),
        "kept_speed": pa.array([1.5, np.nan, 3.0, None], pa.float64()),
        "kept_at": pa.array([0, 86_400_000_000, 1, None], pa.timestamp("us", "UTC")),
        "raw_a": pa.array([None, "z", "x", "missing"]),
        "raw_b": pa.array([50.0, 60.0, np.nan, None], pa.float64()),
        "raw_c": pa.array([BIG, BIG + 1, -1, None], pa.int64()),
        "raw_d": pa.array([9, 10, 20, None], pa.int64()),
        "raw_e": pa.array(["p", "q", "p", None]),
        "raw_f": pa.array([0, 24, 23, None], pa.int64()),
        "raw_g": pa.array([1234567890123, 1234567890124, 5, None], pa.int64()),
        "raw_h": pa.array(
            np.array(["2023-12-31T23", "2024-12-31", "2024-01-01", "NaT"], "M8[us]"),
            pa.timestamp("us", "UTC"),
        ),
        "raw_flag": pa.array([1, 0, None, 1], pa.int64()),
    }
)
TYPES = {
    "a": "string", "b": "real", "c": "integer", "d": "integer", "e": "string", "f": "integer",
    "g": "integer", "h": "timestamp",
}  # fmt: skip


def record(stored: bool = True) -> Any:
    """Return a build's record; one of an older Headrace has no raw columns."""
    columns = {n: StoredColumn(name=f"raw_{n}", type=t) for n, t in TYPES.items()}  # type: ignore[arg-type]
    kept = {n: StoredColumn(name=f"kept_{n}", type=t) for n, t in KEPT.items()}  # type: ignore[arg-type]
    return SimpleNamespace(kept=KEPT, stored=columns | kept if stored else {})


def name_slices(*columns: str, buckets: list | None = None, stored: bool = True) -> list[str]:
    """Return the name of each row's slice."""
    item = s.Slice(columns=list(columns), buckets=buckets)
    source = find_slice_source(item, SPEC, record(stored))
    assigned = assign_slices(source, ROWS.select(list(dict.fromkeys(source.dataset_columns))))
    return [assigned.names[code] for code in assigned.codes]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("word", ["word=missing", "word=z", "word=x", 'word="missing"']),
        ("store", ["store=1234567890123", "store=1234567890124", "store=5", "store missing"]),
        ("heat", ["heat=50", "heat=60", "heat=NaN", "heat missing"]),
        ("size", [f"size={BIG}", f"size={BIG + 1}", "size=-1", "size missing"]),
        ("age", ["age below 10", "age 10 to 20", "age from 20", "age missing"]),
        ("tail", ["tail=p", "tail=q", "tail=p", "tail=missing"]),
        ("pair", ["pair: a=missing and g=1234567890123", "pair: a=z and g=1234567890124",
                  "pair: a=x and g=5", 'pair: a="missing" and g missing']),
        ("hour", ["hour=0", "hour=24", "hour=23", "hour missing"]),
        ("season", ["season=365", "season=366", "season=1", "season missing"]),
        ("city", ["city=Rome", "city=missing", "city=Rome", "city=Köln"]),
        ("year", ["year=2012", "year=2013", "year missing", "year=2013"]),
        ("speed", ["speed=1.5", "speed=NaN", "speed=3", "speed missing"]),
        ("at", ["at=1970-01-01", "at=1970-01-02", "at=1970-01-01", "at=missing"]),
    ],
)  # fmt: skip
def test_rows_are_sliced_by_what_they_were(column: str, expected: list[str]) -> None:
    assert name_slices(column) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("word", ["word=missing", "word=unknown", "word=x", "word=y"]),
        ("heat", ["heat=50", "heat=60", "heat=60", "heat missing"]),
        ("size", ["size=0", "size=1", "size=2", "size=3"]),
        ("age", ["age=missing", "age=below to 10", "age=10 to 20", "age=20 to above"]),
        ("tail", ["tail=missing", "tail=bucket 1", "tail=bucket 2", "tail=bucket 3"]),
        ("hour", ["hour=0", "hour=6", "hour=6", "hour missing"]),
        ("city", ["city=Rome", "city=missing", "city=Rome", "city=Köln"]),
        ("at", ["at=1970-01-01", "at=1970-01-02", "at=1970-01-01", "at=missing"]),
    ],
)
def test_values_of_older_versions_are_restored(column: str, expected: list[str]) -> None:
    assert name_slices(column, stored=False) == expected


def test_what_was_restored_is_said() -> None:
    for column, note in (
        ("heat", "heat was restored from scaled numbers of 7 digits"),
        ("word", "word was restored from ids, so values that share one are one slice"),
    ):
        source = find_slice_source(s.Slice(columns=[column]), SPEC, record(stored=False))
        (found,) = assign_slices(source, ROWS).notes
        assert found.startswith(note)
        assert found.endswith("`headrace prepare --full` makes one that has them")
        source = find_slice_source(s.Slice(columns=[column]), SPEC, record())
        assert assign_slices(source, ROWS).notes == ()


def test_buckets_of_restored_ids_are_not_applied_and_it_is_said() -> None:
    item = s.Slice(columns=["store"], buckets=[6, 18])
    source = find_slice_source(item, SPEC, record(stored=False))
    assigned = assign_slices(source, ROWS)
    assert assigned.names == ["store=missing", "store=unknown", "store=5", "store=6"]
    assert "the buckets of store were not applied" in assigned.notes[0]


def test_every_combination_of_values_is_a_slice() -> None:
    assert name_slices("city", "year") == [
        "city=Rome, year=2012",
        "city=missing, year=2013",
        "city=Rome, year missing",
        "city=Köln, year=2013",
    ]


@pytest.mark.parametrize(
    ("column", "limits", "expected"),
    [
        ("year", [2013], ["year below 2013", "year from 2013", "year missing", "year from 2013"]),
        ("store", [6, 1234567890124],
         ["store 6 to 1234567890124", "store from 1234567890124", "store below 6",
          "store missing"]),
        ("size", [BIG + 1],
         [f"size below {BIG + 1}", f"size from {BIG + 1}", f"size below {BIG + 1}",
          "size missing"]),
        ("age", [1e1], ["age below 10", "age from 10", "age from 10", "age missing"]),
        ("season", [365], ["season from 365", "season from 365", "season below 365",
                           "season missing"]),
        ("at", ["1970-01-02"],
         ["at below 1970-01-02", "at from 1970-01-02", "at below 1970-01-02", "at=missing"]),
    ],
)  # fmt: skip
def test_buckets_divide_every_column_that_has_an_order(
    column: str, limits: list, expected: list[str]
) -> None:
    assert name_slices(column, buckets=limits) == expected


def test_a_number_at_a_limit_is_never_below_it() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        numbers = np.round(random.normal(random.uniform(-20, 20), random.uniform(1, 50), 300))
        rows = pa.table({"raw_c": pa.array(numbers.astype(np.int64))})
        source = find_slice_source(s.Slice(columns=["size"], buckets=[0.0]), SPEC, record())
        assigned = assign_slices(source, rows)
        below = np.array([name == "size below 0" for name in assigned.names])[assigned.codes]
        assert (below == (numbers < 0)).all()


@pytest.mark.parametrize(
    ("columns", "limits", "message"),
    [
        (["nowhere"], None, "the dataset has no column nowhere; .*dataset.keep"),
        (["essay"], None, "the dataset has no column essay"),
        (["city"], [1], "city holds texts, which no limits divide"),
        (["word"], [1], "word holds texts, which no limits divide"),
        (["pair"], [1], "pair holds several columns together, which no limits divide"),
        (["at"], [20130601], "got numbers, and at holds times; give dates, such as 2024-05-31"),
        (["season"], ["2024-05-31"], "got dates or times, and season holds numbers"),
    ],
)
def test_limits_that_do_not_fit_the_type_are_refused(
    columns: list[str], limits: list | None, message: str
) -> None:
    item = s.Slice(columns=columns, buckets=limits)
    with pytest.raises(ModelError, match=message):
        find_slice_source(item, SPEC, record())


def test_kept_columns_go_before_features_of_their_name() -> None:
    rows = pa.table({"kept_word": pa.array(["a", "b", "c", "d"])})
    build = SimpleNamespace(kept={"word": "string"}, stored={})
    source = find_slice_source(s.Slice(columns=["word"]), SPEC, build)  # type: ignore[arg-type]
    assert source.dataset_columns == ["kept_word"]
    assert assign_slices(source, rows).names == ["word=a", "word=b", "word=c", "word=d"]


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


def test_slices_of_very_many_rows_have_the_metrics_of_their_rows_and_draws_of_groups() -> None:
    """Those of a slice that is itself too large are within bounds."""
    random, count = np.random.default_rng(0), 6000
    score = random.normal(size=count)
    rows = {
        "row_id": random.integers(0, 2**62, count),
        "label": (score + random.normal(size=count) > 0).astype(np.float32),
        "probability": (1 / (1 + np.exp(-score))).astype(np.float32),
    }
    codes = np.minimum(np.arange(count) % 8, 3)  # the last one has more than half of the rows
    label, settings = LabelSpec(), s.Evaluate(exact_rows=2000, bootstrap=100)

    def take(positions: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[positions] for name, array in rows.items()}

    def make_scorer(positions: np.ndarray) -> Any:
        return label.definition.make_scorer(take(positions), label, 0.5)

    def sketch(positions: np.ndarray, draws: int) -> SketchedRows:
        return sketch_predictions(take(positions), label, 0.5, settings, draws=draws, groups=64)

    item, names = s.Slice(columns=["x"]), ["x=0", "x=1", "x=2", "x: 5 other values"]
    arguments = (item, codes, names, make_scorer, np.ones(count), settings)
    exact = score_slices(*arguments)
    sketched = score_slices(*arguments, sketch=sketch)
    for of_rows, result in zip(exact, sketched, strict=True):
        assert (of_rows.value, of_rows.rows) == (result.value, result.rows)
        assert bool(result.bounds) == (result.rows > 2000)
        for name, value in of_rows.metrics.items():
            assert abs(result.metrics[name] - value) <= result.bounds.get(name, 0) + 1e-9
        for name in ("roc_auc", "log_loss"):
            own, other = result.intervals[name], of_rows.intervals[name]
            width = own.high - own.low - 2 * result.bounds.get(name, 0)
            assert width == pytest.approx(other.high - other.low, rel=0.5)
