"""Gates against references: by the bound of a paired interval, and in words."""

from typing import Any

import numpy as np
import pytest

from headrace.evaluate.baseline_gates import check_baseline, check_finite
from headrace.evaluate.bootstrap import draw_metrics
from headrace.evaluate.references.compare import (
    ReferenceComparison,
    compare_references,
    comparison_to_dict,
    format_differences,
    format_with_margin,
    list_default_gates,
)
from headrace.evaluate.references.compute import References
from headrace.evaluate.references.page import plot_references, show_references
from headrace.labels.constant import fit_constant
from headrace.labels.losses.kinds import parse_loss
from headrace.labels.spec import LabelSpec
from headrace.pages.page import Page, Section
from headrace.recipe import sections as s

BINARY = LabelSpec()


def compare(
    label: LabelSpec, truth: np.ndarray, output: np.ndarray, train: np.ndarray | None = None,
    threshold: float = 0.5, **settings: Any,
) -> ReferenceComparison:  # fmt: skip
    """Compare predictions with the constant of the labels themselves, or of `train`."""
    train = truth if train is None else train
    constant = fit_constant(label, train, np.ones(len(train)))
    facts = {"train_rows": len(train), "constant_rows": len(train), "weighted": False}
    rows = {"row_id": np.arange(len(truth)), "label": truth, label.definition.output: output}
    if label.baseline:
        rows["baseline"] = np.full(len(truth), 3.0, np.float32)
    evaluate = s.Evaluate(**settings)
    weight = np.ones(len(truth))
    scorer = label.definition.make_scorer(rows, label, threshold)
    model = draw_metrics(scorer, weight, draws=evaluate.bootstrap, seed=evaluate.seed)
    references = References(constant, None, {"tree": "it is none"}, facts, {})
    return compare_references(references, model, rows, {}, weight, label, threshold, evaluate)


def judge(label: LabelSpec, comparison: ReferenceComparison, threshold: float = 0.5) -> list[bool]:
    gates = list_default_gates(label.kind, threshold, label.loss)
    return [check_baseline(gate, comparison).passed for gate in gates]


def make_binary(rows: int, share: float, strength: float, seed: int = 0) -> Any:
    """Return labels and calibrated probabilities that know so much of them."""
    random = np.random.default_rng(seed)
    logit = random.normal(np.log(share / (1 - share)), strength, rows)
    probability = 1 / (1 + np.exp(-logit))
    return (random.random(rows) < probability).astype(np.float32), probability.astype(np.float32)


def test_a_model_that_knows_something_passes_however_rare_its_label() -> None:
    for share in (0.5, 0.05, 0.004):
        truth, probability = make_binary(40_000, share, 2.0)
        assert judge(BINARY, compare(BINARY, truth, probability)) == [True, True], share


def test_a_model_that_knows_nothing_fails() -> None:
    for seed in range(20):
        truth, probability = make_binary(2000, 0.3, 1.0, seed)
        shuffled = np.random.default_rng(seed).permutation(probability)
        assert not all(judge(BINARY, compare(BINARY, truth, shuffled)))
        constant = np.full(2000, truth.mean(), np.float32)
        assert not all(judge(BINARY, compare(BINARY, truth, constant)))


def test_classes_that_are_right_less_often_than_always_the_commonest_one() -> None:
    """Accuracy 0.711 where «always None» has 0.915, with probabilities that are not even bad."""
    label = LabelSpec(kind="classes", classes=("None", "Minor", "Major"))
    truth = np.repeat([0, 1, 2], [915, 60, 25]).astype(np.int32)
    output = np.zeros((1000, 3), np.float32)
    output[np.arange(1000), truth] = 0.98
    output[:289] = [0.48, 0.5, 0.02]  # wrong, but only just
    output += 0.01
    output /= output.sum(axis=1, keepdims=True)
    comparison = compare(label, truth, output)
    by_score, by_decision = list_default_gates("classes", 0.5)
    assert check_baseline(by_score, comparison).passed
    failed = check_baseline(by_decision, comparison)
    assert not failed.passed
    assert "0.204 worse than the constant (0.915) on 1,000 rows; at 0.95 worse by" in failed.text


def test_a_threshold_that_was_chosen_is_not_judged_by_accuracy() -> None:
    truth, probability = make_binary(5000, 0.02, 2.0)
    threshold = 0.005  # nearly all positives are found, and many others
    comparison = compare(BINARY, truth, probability, threshold=threshold)
    (gate,) = list_default_gates("binary", threshold)
    assert gate.metric == "log_loss"
    assert check_baseline(gate, comparison).passed


@pytest.mark.parametrize(("kind", "scale"), [("regression", 1e12), ("regression", 1e-12),
                                             ("count", 1.0)])  # fmt: skip
def test_numbers(kind: str, scale: float) -> None:
    random = np.random.default_rng(1)
    label = LabelSpec(kind=kind, scale=scale)
    rate = random.exponential(2, 800)
    truth = random.poisson(rate).astype(np.float32)
    assert judge(label, compare(label, truth, rate.astype(np.float32))) == [True]
    noise = random.permutation(rate).astype(np.float32)
    assert judge(label, compare(label, truth, noise)) == [False]


def test_several_labels() -> None:
    label = LabelSpec(kind="multi_label", classes=("a", "b"))
    pairs = [make_binary(2000, share, 2.0) for share in (0.3, 0.05)]
    truth, output = (np.stack([pair[i] for pair in pairs], axis=1) for i in (0, 1))
    assert judge(label, compare(label, truth, output)) == [True, True]
    assert judge(label, compare(label, truth, output[::-1])) == [False, False]


@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "quantile", "level": 0.9}, {"kind": "quantile", "level": 0.1},
        {"kind": "absolute_error"}, {"kind": "huber", "delta": 0.5},
    ],
)  # fmt: skip
def test_a_model_of_another_loss_is_judged_by_it(loss: dict[str, Any]) -> None:
    """Of a skewed label the mean is a poor quantile, and a quantile is a poor mean."""
    random = np.random.default_rng(2)
    label = LabelSpec(kind="regression").with_loss(parse_loss(loss))
    size = random.exponential(2, 3000)
    truth = (size * random.exponential(1, 3000)).astype(np.float32)
    level = label.loss.quantile_level if label.loss else None
    factor = -np.log(1 - level) if level is not None else 1.0  # of the exponential distribution
    best = (size * factor).astype(np.float32)
    comparison = compare(label, truth, best)
    assert judge(label, comparison) == [True]
    (result,) = comparison.results
    assert label.loss is not None
    assert label.loss.metric in result.differences
    constant = fit_constant(label, truth, np.ones(3000))
    assert judge(label, compare(label, truth, np.full(3000, constant, np.float32))) == [False]
    if level == 0.9:
        assert float(constant) == pytest.approx(np.quantile(truth, 0.9), rel=0.01)


def test_few_rows_say_nothing() -> None:
    truth, probability = np.array([0.0, 1, 1, 0], np.float32), np.array([0.1, 0.9, 0.9, 0.1])
    (gate, _) = list_default_gates("binary", 0.5)
    few = check_baseline(gate, compare(BINARY, truth, probability))
    assert not few.passed
    assert "on 4 rows; fewer than 10 rows say nothing" in few.text
    truth, probability = make_binary(30, 0.5, 0.6, seed=3)
    unclear = check_baseline(gate, compare(BINARY, truth, probability))
    assert unclear.value is not None and unclear.value > 0 and not unclear.passed
    assert "wanted: better by more than 0: these rows are too few to tell" in unclear.text


def test_one_label_among_the_test_rows() -> None:
    """The ROC AUC is not defined then; the log loss is."""
    truth = np.zeros(100, np.float32)
    train = np.array([0.0, 0, 0, 1] * 25, np.float32)
    comparison = compare(BINARY, truth, np.full(100, 0.01, np.float32), train)
    assert judge(BINARY, comparison) == [True, True]
    gate = s.BaselineGate(kind="baseline", against="constant", metric="roc_auc")
    assert "roc_auc is not defined" in check_baseline(gate, comparison).text


def test_the_users_own_baseline_and_both_limits() -> None:
    label = LabelSpec(kind="regression", baseline=True)
    truth = np.random.default_rng(2).normal(3, 1, 500).astype(np.float32)
    output = truth + np.random.default_rng(3).normal(0, 0.5, 500).astype(np.float32)
    comparison = compare(label, truth, output, gates=[{"kind": "baseline", "metric": "mae",
                                                       "against": "label.baseline"}])  # fmt: skip

    def check(**limits: float) -> Any:
        gate = s.BaselineGate(kind="baseline", against="label.baseline", metric="mae", **limits)
        return check_baseline(gate, comparison)

    difference = comparison.find_result("label.baseline").differences["mae"]  # type: ignore[union-attr]
    assert difference.reference == pytest.approx(np.abs(truth - 3).mean(), rel=1e-5)
    low = np.quantile(difference.draws, 0.05)
    assert check().passed and "better than label.baseline" in check().text
    assert check(better_by=low - 1e-9).passed and not check(better_by=low + 1e-9).passed
    assert check(not_worse_by=0.0).passed
    assert check(confidence=0.999).details["low"] < low < check(confidence=0.51).details["low"]


def test_a_reference_that_is_missing_fails_with_the_reason() -> None:
    truth, probability = make_binary(100, 0.5, 1.0)
    gate = s.BaselineGate(kind="baseline", against="tree", metric="roc_auc")
    result = check_baseline(gate, compare(BINARY, truth, probability))
    assert (result.passed, result.text) == (False, "no comparison with the tree: it is none")
    text = check_baseline(gate, ReferenceComparison()).text
    assert text == "no comparison with the tree: evaluate.references does not name it"


def test_without_draws_the_difference_alone_decides_and_that_is_said() -> None:
    truth, probability = make_binary(2000, 0.3, 2.0)
    comparison = compare(BINARY, truth, probability, bootstrap=0)
    gate = list_default_gates("binary", 0.5)[0]
    result = check_baseline(gate, comparison)
    assert result.passed and "without an interval" in result.text


def test_intervals_of_differences_cover_the_truth() -> None:
    """Of a model that is as good as the constant, 1 of 20 passes at 0.95, and not many more."""
    gate = s.BaselineGate(kind="baseline", against="constant", metric="rmse")
    label = LabelSpec(kind="regression")
    passed = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        truth = random.choice([-1.0, 1.0], 120).astype(np.float32)
        # Its error is in truth that of 0: the noise it adds is the signal that it has.
        output = (0.5 * truth * random.choice([-1, 1], 120, p=[0.375, 0.625])).astype(np.float32)
        comparison = compare(label, truth, output, np.zeros(9, np.float32), bootstrap=100)
        passed += check_baseline(gate, comparison).passed
    assert passed / 200 < 0.12


def test_metrics_that_are_not_finite_fail() -> None:
    assert check_finite({"rmse": 1.0}).passed
    failed = check_finite({"rmse": float("inf"), "mape": float("nan"), "mae": 1.0})
    assert (failed.passed, failed.text) == (False, "rmse, mape are not finite")


def test_words_say_better_and_worse_with_margins() -> None:
    truth, probability = make_binary(4000, 0.3, 2.0)
    comparison = compare(BINARY, truth, probability)
    words = format_differences(comparison, "log_loss")
    assert words.startswith("better than the constant by 0.") and "±" in words
    worse = compare(BINARY, truth, 1 - probability)
    assert format_differences(worse, "log_loss").startswith("worse than the constant by ")
    page = Page("t", [Section("References", show_references(worse))]).render()
    assert "worse than the constant by" in page and "the tree is left out: it is none" in page
    figure = plot_references(worse)
    assert figure is not None and len(figure.axes) == 3
    plain = comparison_to_dict(comparison)
    assert plain["results"]["constant"]["compared"]["log_loss"]["better_by"] > 0
    assert show_references(ReferenceComparison()) == []
    assert plot_references(ReferenceComparison()) is None


@pytest.mark.parametrize(
    ("value", "ends", "words"),
    [
        (0.2134, (0.19, 0.23), "0.213 ± 0.020"),
        (0.2134, None, "0.213 (no interval)"),
        (2.5e-13, (2e-13, 3e-13), "2.5e-13 ± 5e-14"),
        (4321.7, (4200, 4440), "4,320 ± 120"),
        (3e12, (2e12, 4e12), "3,000,000,000,000 ± 1,000,000,000,000"),
        (0.5, (0.5, 0.5), "0.5 ± 0"),
        (0.0123, (-0.9, 0.9), "0.01 ± 0.90"),
    ],
)
def test_numbers_have_the_digits_of_their_margin(
    value: float, ends: tuple[float, float] | None, words: str
) -> None:
    assert format_with_margin(value, ends) == words
