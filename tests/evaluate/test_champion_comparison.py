"""Two models are compared by one label, on test rows that neither has seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluate.champion_comparison import RowHistory, compare_models
from headrace.evaluate.gates import ChampionComparison
from headrace.evaluate.predictions import PredictedRows
from headrace.labels.losses.quantile import Quantile
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s

BINARY = LabelSpec()
NUMBER = LabelSpec(kind="regression")
URI = "models:/m/1"


def make_settings(metric: str, **changed: object) -> s.Evaluate:
    gate = {"kind": "champion", "metric": metric, "not_worse_by": 0.0, "min_rows": 1}
    return s.Evaluate.model_validate({"gates": [gate], "bootstrap": 10, **changed})


def make_rows(ids: list[int], labels: list[int], scores: list[float]) -> PredictedRows:
    return {
        "row_id": np.array(ids),
        "label": np.array(labels, np.float32),
        "probability": np.array(scores, np.float32),
    }


def make_numbers(ids: np.ndarray, error: float | np.ndarray, label: LabelSpec = NUMBER) -> dict:
    """Rows with labels of 1,000 and their id, predicted too high by so much."""
    truth = 1000.0 + ids
    return {
        "row_id": ids,
        "label": ((truth - label.center) / label.scale).astype(np.float32),
        "value": ((truth + error - label.center) / label.scale).astype(np.float32),
    }


def compare(
    own: PredictedRows,
    others: PredictedRows,
    *,
    label: LabelSpec = BINARY,
    other_label: LabelSpec | None = None,
    metric: str = "accuracy",
    history: RowHistory | None = None,
    **changed: object,
) -> ChampionComparison:
    settings_ = make_settings(metric, **changed)
    champion = (others, other_label or label, 0.5)
    return compare_models(URI, (own, label, 0.5), champion, settings_, history)


def measure(comparison: ChampionComparison) -> tuple[float, float]:
    assert comparison.obstacle == ""
    assert comparison.differences is not None
    (difference,) = comparison.differences.values()
    assert difference is not None
    return difference.candidate, difference.champion


def test_rows_are_matched_by_identity() -> None:
    own = make_rows([1, 2, 3, 4, 5], [0, 1, 0, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.1])
    others = make_rows([2, 3, 4, 9], [1, 0, 1, 1], [0.4, 0.6, 0.7, 0.5])
    comparison = compare(own, others, metric="roc_auc")  # 1, 5 and 9 are on one side only
    assert (comparison.shared_rows, comparison.candidate_rows) == (3, 5)
    assert measure(comparison) == (1.0, 0.5)


def test_rows_of_one_identity_are_matched_in_order() -> None:
    own = make_rows([7, 7, 8], [0, 0, 1], [0.1, 0.2, 0.9])
    others = make_rows([7, 7, 7, 8], [0, 0, 0, 1], [0.3, 0.3, 0.3, 0.2])
    assert compare(own, others).shared_rows == 3


@pytest.mark.parametrize(("changed", "refused"), [(0, False), (2, False), (3, True), (200, True)])
def test_rows_with_another_label_are_counted_and_refused_from_a_share_on(
    changed: int, refused: bool
) -> None:
    ids = list(range(200))
    own = make_rows(ids, [0, 1] * 100, [0.1, 0.9] * 100)
    others = make_rows(ids, [0, 1] * 100, [0.1, 0.9] * 100)
    others["label"][:changed] = 1 - others["label"][:changed]
    comparison = compare(own, others)
    assert comparison.changed_labels == changed
    if refused:
        assert f"{changed} of the 200 test rows" in comparison.obstacle
        assert "(one has 0, and 1 there), 1% may" in comparison.obstacle
    else:
        assert comparison.shared_rows == 200  # none is dropped
        assert measure(comparison) == (1.0, 1.0)  # by the candidate's labels


def test_seconds_are_not_gigaseconds() -> None:
    ids = np.arange(40)
    own = make_numbers(ids, 0.0)
    others = {name: array * 1e-9 for name, array in own.items() if name != "row_id"}
    others["row_id"] = ids
    others = {name: others[name] for name in own}
    comparison = compare(own, others, label=NUMBER, metric="mae")
    assert "40 of the 40 test rows" in comparison.obstacle
    assert "(one has 1,000, and 1e-6 there)" in comparison.obstacle


@pytest.mark.parametrize("power", [-12, -6, 0, 12])
def test_a_standardized_label_is_the_same_label_at_any_scale(power: int) -> None:
    unit = 10.0**power
    label = LabelSpec(kind="regression", center=10.0 * unit, scale=2.0 * unit)
    truth = np.linspace(5, 15, 40) * unit
    own = {
        "row_id": np.arange(40),
        "label": ((truth - label.center) / label.scale).astype(np.float32),
        "value": ((truth + unit - label.center) / label.scale).astype(np.float32),
    }
    others = {
        "row_id": np.arange(40),
        "label": truth.astype(np.float32),
        "value": (truth + 3 * unit).astype(np.float32),
    }
    comparison = compare(own, others, label=label, other_label=NUMBER, metric="mae")
    assert comparison.changed_labels == 0
    assert measure(comparison) == pytest.approx((unit, 3 * unit), rel=1e-4)
    others["label"] *= 1.001  # a difference at that scale
    assert compare(own, others, label=label, other_label=NUMBER, metric="mae").obstacle


def test_another_kind_of_label_is_an_obstacle() -> None:
    own = make_rows([1, 2], [0, 1], [0.1, 0.9])
    other = LabelSpec(kind="classes", classes=("a", "b"))
    obstacle = compare(own, own, other_label=other).obstacle
    assert "another kind of label or other classes (label.kind: 'classes' and 'binary'" in obstacle


def test_an_added_class_is_an_obstacle_that_names_it() -> None:
    label = LabelSpec(kind="classes", classes=("a", "b", "c"))
    other = LabelSpec(kind="classes", classes=("a", "b"))
    comparison = compare({"label": np.zeros(1)}, {}, label=label, other_label=other)
    assert "2 and 3, new 'c'" in comparison.obstacle


def test_labels_of_rows_with_several_are_compared_as_a_whole() -> None:
    label = LabelSpec(kind="multi_label", classes=("a", "b"))
    truth = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    own = {"row_id": np.arange(4), "label": truth, "probabilities": truth}
    others = {**own, "probabilities": 1 - truth}
    assert measure(compare(own, others, label=label, metric="f1_micro")) == (1.0, 0.0)
    changed = truth.copy()
    changed[1, 0] = 0
    comparison = compare(own, {**others, "label": changed}, label=label, metric="f1_micro")
    assert "1 of the 4 test rows" in comparison.obstacle
    assert "one has ['a', 'b'], and ['b'] there" in comparison.obstacle


def test_numbers_are_compared_in_their_own_unit() -> None:
    gates = [{"kind": "champion", "metric": "mae", "not_worse_by": 0.0}]
    settings = s.Evaluate.model_validate({"gates": gates, "bootstrap": 50})
    label = LabelSpec(kind="regression", center=10.0, scale=2.0)
    other_label = LabelSpec(kind="regression", center=0.0, scale=1.0)
    truth = np.linspace(5, 15, 40)
    own = {
        "row_id": np.arange(40),
        "label": ((truth - 10) / 2).astype(np.float32),
        "value": ((truth + 1 - 10) / 2).astype(np.float32),  # off by 1
    }
    others = {
        "row_id": np.arange(40),
        "label": truth.astype(np.float32),
        "value": (truth + 3).astype(np.float32),  # off by 3
    }
    comparison = compare_models(
        "models:/m/1", (own, label, 0.5), (others, other_label, 0.5), settings
    )
    (difference,) = comparison.differences.values()
    assert comparison.shared_rows == 40
    assert difference.better_by == pytest.approx(2, abs=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        (0.9, None, "models:/m/1 predicts the mean or the median, and the candidate the quantile "
         "of level 0.9"),
        (0.9, 0.95, "predicts the quantile of level 0.95, and the candidate the quantile of level "
         "0.9"),
        (0.9, 0.9, ""), (0.5, None, ""), (None, None, ""),
    ],
)  # fmt: skip
def test_quantiles_and_means_are_two_questions(
    ours: float | None, theirs: float | None, text: str
) -> None:
    gates = [{"kind": "champion", "metric": "mae", "not_worse_by": 0.0}]
    settings = s.Evaluate.model_validate({"gates": gates, "bootstrap": 20})
    labels = [
        LabelSpec(kind="regression").with_loss(level and Quantile(kind="quantile", level=level))
        for level in (ours, theirs)
    ]
    rows = {"row_id": np.arange(9), "label": np.arange(9.0), "value": np.arange(9.0)[::-1]}
    models = [(rows, label, 0.5) for label in labels]
    comparison = compare_models("models:/m/1", *models, settings)
    assert text in comparison.obstacle
    assert bool(comparison.obstacle) == bool(text)


def test_one_weight_and_one_baseline_count_for_both() -> None:
    ids = np.arange(4)
    own = {**make_numbers(ids, 1.0), "sample_weight": np.array([1, 1, 0, 0], np.float32)}
    own["baseline"] = own["label"] + 2
    others = {**make_numbers(ids, np.array([3, 3, 99, 99])), "baseline": own["label"] + 77}
    comparison = compare(own, others, label=NUMBER, metric="mae_over_baseline", weighted=True)
    assert comparison.shared_rows == 2  # with a weight
    assert measure(comparison) == pytest.approx((0.5, 1.5))
    own["sample_weight"] *= 0
    comparison = compare(own, others, label=NUMBER, metric="mae", weighted=True)
    assert "there is none (of a weight above 0)" in comparison.obstacle


def test_rows_that_the_champion_s_dataset_does_not_have_count_where_they_are_known_to_be_new() -> (
    None
):
    ids = np.arange(10)
    own, others = make_numbers(ids, 1.0), make_numbers(ids, 2.0)
    recorded = ({k: v[:4] for k, v in own.items()}, NUMBER)
    for counts_new, rows in ((True, 8), (False, 4)):
        history = RowHistory(ids >= 8, recorded, counts_new=counts_new)
        comparison = compare(own, others, label=NUMBER, metric="mae", history=history)
        assert (comparison.shared_rows, comparison.seen_rows) == (rows, 2)
    doubt = RowHistory(ids >= 8, recorded, doubt="the keys were made anew")
    assert compare(own, others, history=doubt, label=NUMBER, metric="mae").obstacle == doubt.doubt


def test_a_gate_of_more_rows_is_not_computed() -> None:
    own = make_rows([1, 2], [0, 1], [0.1, 0.9])
    gate = {"kind": "champion", "metric": "accuracy", "not_worse_by": 0.0, "min_rows": 3}
    comparison = compare(own, own, gates=[gate])
    assert (comparison.shared_rows, comparison.differences) == (2, {})


SPLITS = st.lists(st.integers(0, 2), min_size=60, max_size=60)


@settings(max_examples=150, deadline=None)
@given(own=SPLITS, other=SPLITS, has_transform=st.booleans(), seed=st.integers(0, 2**16))
def test_no_row_that_either_was_trained_on_is_ever_used(
    own: list[int], other: list[int], has_transform: bool, seed: int
) -> None:
    """Errors of rows are powers of two, so that their sum tells which rows were used."""
    random = np.random.default_rng(seed)
    ids = np.unique(random.integers(-(2**62), 2**62, 60))
    own_split, other_split = np.array(own)[: len(ids)], np.array(other)[: len(ids)]
    in_other = random.random(len(ids)) < 0.8  # the others are new
    unit = LabelSpec(kind="regression")
    position = np.arange(len(ids))

    def predict(which: np.ndarray, error: np.ndarray) -> PredictedRows:
        zeros = np.zeros(len(which))
        return {"row_id": ids[which], "label": zeros, "value": error[which]}

    tests = np.flatnonzero(own_split == 2)
    other_tests = np.flatnonzero((other_split == 2) & in_other)
    error = 2.0 ** (position % 50)
    candidate = predict(tests, error)
    champion = predict(tests if has_transform else other_tests, 3 * error)
    is_seen = ((other_split < 2) & in_other)[tests]
    history = RowHistory(is_seen, (predict(other_tests, error), unit))
    allowed = tests[~is_seen] if has_transform else np.intersect1d(tests, other_tests)
    comparison = compare(candidate, champion, label=unit, metric="mae", history=history)
    if not len(allowed):
        assert "there is none" in comparison.obstacle
        return
    assert comparison.shared_rows == len(allowed)
    assert measure(comparison)[0] * len(allowed) == pytest.approx(error[allowed].sum(), rel=1e-12)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_very_many_rows_are_compared_in_the_same_groups(metric: str) -> None:
    """The lower end is that of draws of rows, but for the bounds of both areas."""
    random, count = np.random.default_rng(1), 4000
    ids, score = random.integers(0, 2**62, count), random.normal(size=count)
    truth = score + random.normal(size=count) > 0
    own, others = (
        make_rows(ids.tolist(), truth.tolist(), (1 / (1 + np.exp(-s))).tolist())
        for s in (score, score + 0.2 * random.normal(size=count))
    )
    results = [
        compare(own, others, metric=metric, bootstrap=200, exact_rows=rows) for rows in (4000, 1600)
    ]
    exact, sketched = (next(iter((r.differences or {}).values())) for r in results)
    assert exact is not None
    assert sketched is not None
    bound = 0.01 if metric == "roc_auc" else 1e-9
    assert sketched.better_by == pytest.approx(exact.better_by, abs=bound)
    assert sketched.draws == 200
    assert sketched.low == pytest.approx(exact.low, abs=2 * bound + 0.3 * abs(exact.low))
