"""Sketches of rows: equal to the scorers within bounds, and the same at any number of ranks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from benchmarks.growth import fit_exponent
from headrace.errors import ModelError
from headrace.labels.sketch.kinds import SKETCHES, find_sketch
from headrace.labels.sketch.rank_sums import OneRank
from headrace.labels.sketch.row_sketch import Sketch, assign_groups, draw_groups, sketch_rows
from headrace.labels.spec import LabelSpec
from tests.labels.sketch.thread_sums import ThreadSums, run_ranks

KINDS = ("binary", "regression", "count")


def make_label(kind: str) -> LabelSpec:
    return LabelSpec(kind=kind, center=3.0, scale=2.0) if kind == "regression" else LabelSpec(
        kind=kind
    )  # fmt: skip


def make_rows(kind: str, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return rows with ties, weights of 0 among others, and a few extreme values."""
    random = np.random.default_rng(seed)
    score = np.round(random.normal(size=rows), 2 if seed % 2 else 9)
    score[: rows // 20] = random.choice([-80.0, 80.0, 0.0], rows // 20)
    noise = random.normal(size=rows)
    shared = {
        "row_id": random.integers(-(2**62), 2**62, rows),
        "sample_weight": random.choice([0.0, 0.3, 1.0, 2.5], rows),
    }
    if kind == "binary":
        truth = (score + noise > 0.5).astype(np.float32)
        probability = (1 / (1 + np.exp(-score))).astype(np.float32)
        return {**shared, "label": truth, "probability": probability}
    if kind == "count":
        rate = np.exp(score.clip(-5, 5) / 2)
        counts = random.poisson(rate).astype(np.float32)
        return {**shared, "label": counts, "value": rate.astype(np.float32)}
    baseline = random.normal(size=rows).astype(np.float32)
    value = score.astype(np.float32)
    return {**shared, "label": (score + noise).astype(np.float32), "value": value,
            "baseline": baseline}  # fmt: skip


def sketch(
    kind: str, rows: dict[str, np.ndarray], sums: Any, weight: np.ndarray, **options: Any
) -> Sketch:
    label = make_label(kind)
    described = SKETCHES[kind].describe_rows(rows, label, 0.5)
    times = draw_groups(options.pop("draws", 5), seed=1)
    return sketch_rows(described, weight, assign_groups(rows["row_id"]), times, sums, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bins", [20, 2**18])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_exact_metrics_are_within_the_bounds(
    kind: str, weighted: bool, bins: int, seed: int
) -> None:
    rows = make_rows(kind, 3000, seed)
    weight = rows["sample_weight"] if weighted else np.ones(3000)
    label = make_label(kind)
    scorer = label.definition.make_scorer(rows, label, 0.5)
    own = sketch(kind, rows, OneRank(), weight, bins=bins)
    exact, measured = scorer(weight), SKETCHES[kind].measure_metrics(own)
    assert {*measured} == {*exact}
    for name, (value, bound) in measured.items():
        assert abs(value - exact[name]) <= bound + 1e-11 * max(1, abs(exact[name])), name
    assert SKETCHES[kind].count_outcomes(own) == pytest.approx(scorer.count_outcomes(weight))
    areas = [measured[name].bound for name in ("roc_auc", "median_absolute_error")
             if name in measured]  # fmt: skip
    assert 1e-6 < areas[0] < 0.3 if bins == 20 else areas[0] < 0.01


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 4), st.randoms(), st.integers(1, 200))
def test_any_number_of_ranks_in_any_order_has_the_same_bits(
    kind: str, ranks: int, random: Any, count: int
) -> None:
    rows = make_rows(kind, count, random.randrange(1000))
    owner = np.array([random.randrange(ranks) for _ in range(count)])
    order = np.array(random.sample(range(count), count))
    alone = sketch(kind, rows, OneRank(), rows["sample_weight"], bins=16)

    def sketch_on_rank(rank: int, sums: ThreadSums) -> Sketch:
        own = order[owner[order] == rank]
        part = {name: values[own] for name, values in rows.items()}
        return sketch(kind, part, sums, part["sample_weight"], bins=16)

    for together in run_ranks(ranks, sketch_on_rank):
        assert together.rows == alone.rows
        assert together.extremes == alone.extremes
        for a, b in ((together.all_rows, alone.all_rows), (together.draws, alone.draws)):
            assert all(np.array_equal(a.sums[name], b.sums[name]) for name in b.sums)
            for name in ("other", "positive", "first", "last"):
                assert np.array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("kind", KINDS)
def test_draws_spread_as_those_of_single_rows_do(kind: str) -> None:
    """Compared with 200 draws of rows; both widths are known to some percent only."""
    rows, count = make_rows(kind, 4000, 2), 4000
    label, random = make_label(kind), np.random.default_rng(5)
    scorer = label.definition.make_scorer(rows, label, 0.5)
    exact = [
        scorer(np.bincount(random.integers(0, count, count), minlength=count).astype(float))
        for _ in range(200)
    ]
    own = sketch(kind, rows, OneRank(), np.ones(count), draws=200)
    drawn = SKETCHES[kind].measure_draws(own)
    names = ("roc_auc", "log_loss", "accuracy", "pr_auc") if kind == "binary" else (
        "mae", "rmse", "r2", "absolute_error_p90", "median_absolute_error"
    )  # fmt: skip
    for name in names:
        spread = np.std([draw[name] for draw in exact])
        assert np.std(drawn[name][1:]) == pytest.approx(spread, rel=0.25), name


def test_a_draw_is_the_same_whatever_the_number_of_draws() -> None:
    assert np.array_equal(draw_groups(3, seed=7), draw_groups(9, seed=7)[:4])
    assert draw_groups(1, seed=7)[0].tolist() == [1.0] * 1024
    assert draw_groups(200, seed=0)[1:].mean() == pytest.approx(1, abs=0.01)


def test_groups_are_even_and_those_of_one_identity_the_same() -> None:
    counts = np.bincount(assign_groups(np.arange(1_024_000)), minlength=1024)
    assert counts.min() > 850
    assert counts.max() < 1150
    assert len(set(assign_groups(np.array([5, 5, -5, -5])).tolist())) == 2


def test_all_equal_scores_have_an_area_of_a_half_that_is_known() -> None:
    rows = {"label": np.array([0, 1, 1], np.float32), "probability": np.full(3, 0.3, np.float32),
            "row_id": np.arange(3)}  # fmt: skip
    measured = SKETCHES["binary"].measure_metrics(sketch("binary", rows, OneRank(), np.ones(3)))
    assert measured["roc_auc"].value == 0.5
    assert measured["roc_auc"].bound < 1e-12


def test_scores_of_1e_10_and_0_are_told_apart() -> None:
    """scikit-learn/scikit-learn#3864 has 0.5 here."""
    rows = {"label": np.array([1, 0, 0], np.float32), "row_id": np.arange(3),
            "probability": np.array([1e-10, 0, 0], np.float32)}  # fmt: skip
    measured = SKETCHES["binary"].measure_metrics(sketch("binary", rows, OneRank(), np.ones(3)))
    assert measured["roc_auc"].value == 1.0


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-7, 0), (0.01, 0.3), (1e-30, 0)])
def test_areas_do_not_depend_on_where_the_scores_lie(scale: float, offset: float) -> None:
    """scikit-learn/scikit-learn#6688 loses scores below 1e-7, and tensorflow/tensorflow#14834 those
    between two of its thresholds."""
    random = np.random.default_rng(0)
    score = np.round(random.random(500) * 2**10) / 2**10
    rows = {
        "label": (score + random.random(500) > 1).astype(np.float32),
        "probability": (offset + scale * score).astype(np.float32),
        "row_id": np.arange(500),
    }
    exact = roc_auc_score(rows["label"], score)
    own = sketch("binary", rows, OneRank(), np.ones(500), bins=50)
    area = SKETCHES["binary"].measure_metrics(own)["roc_auc"]
    assert abs(area.value - exact) <= area.bound < 0.02


def test_one_class_has_no_area_and_a_prediction_that_is_none_is_refused() -> None:
    rows = make_rows("binary", 50)
    rows["label"][:] = 0
    measured = SKETCHES["binary"].measure_metrics(sketch("binary", rows, OneRank(), np.ones(50)))
    assert not {"roc_auc", "pr_auc", "normalized_entropy"} & {*measured}
    rows["probability"][7] = np.nan
    with pytest.raises(ModelError, match="1 of 50 predictions are not finite"):
        sketch("binary", rows, OneRank(), np.ones(50))


def test_what_a_rank_adds_does_not_grow_with_its_rows() -> None:
    sizes, added = [4000, 8000, 16_000, 32_000], []
    for size in sizes:
        rows = make_rows("binary", size)

        def add(_: int, sums: ThreadSums, rows: dict[str, np.ndarray] = rows) -> int:
            sketch("binary", rows, sums, np.ones(len(rows["label"])), bins=256)
            return sums.bytes

        added += run_ranks(1, add)
    assert fit_exponent(sizes, added) < 0.1


def test_kinds_without_a_sketch_have_none() -> None:
    assert find_sketch(LabelSpec()) is SKETCHES["binary"]
    assert find_sketch(LabelSpec().with_cutoffs([10])) is None
    assert find_sketch(LabelSpec(kind="classes", classes=("a", "b"))) is None
