"""Metrics and constants of losses, beside scikit-learn, SciPy, and blind searches."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import huber
from sklearn import metrics as sk

from headrace.labels.spec import LabelSpec
from tests.labels.losses.make_loss import CLASSES, UNIT, make_label

TABLES = range(200)
LEVELS = (0.01, 0.25, 0.5, 0.9)


def draw_table(seed: int, *, counts: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw labels, predictions and weights: few rows, ties, weights of 0 and of 1e12, odd units."""
    random = np.random.default_rng(seed)
    rows = int(random.integers(2, 40))
    unit = 1.0 if counts else 10.0 ** random.choice([-12, 0, 12])
    truth = random.poisson(3, rows) if counts else random.choice([-1.0, 0.0, 2.5, 7.25], rows)
    if not counts and seed % 3 == 0:
        truth = random.normal(size=rows)
    predicted = random.choice([0.5, 1.0, 2.5, 7.25], rows) + random.integers(0, 2, rows) / 8
    weight = random.choice([0.0, 1.0, 0.1, 1e12], rows) if seed % 2 else np.ones(rows)
    weight[0] = weight[0] or 1.0
    return truth * unit, predicted * unit, weight


def score(label: LabelSpec, truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray) -> Any:
    kind = label.definition
    return kind.make_scorer({"label": truth, kind.output: predicted}, label, 0.5)(weight)


def is_constant(truth: np.ndarray, weight: np.ndarray) -> bool:
    return len(np.unique(truth[weight > 0])) == 1


@pytest.mark.parametrize("seed", TABLES)
def test_quantiles_are_scored_as_scikit_learn_does(seed: int) -> None:
    truth, predicted, weight = draw_table(seed)
    level = LEVELS[seed % len(LEVELS)]
    scores = score(
        make_label("regression", {"kind": "quantile", "level": level}), truth, predicted, weight
    )
    options = {"sample_weight": weight, "alpha": level}
    expected = sk.mean_pinball_loss(truth, predicted, **options)
    assert scores["pinball_loss"] == pytest.approx(expected, rel=1e-9)
    if not is_constant(truth, weight):
        expected = sk.d2_pinball_score(truth, predicted, **options)
        assert scores["d2_pinball"] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    below = sum(w for t, p, w in zip(truth, predicted, weight, strict=True) if t <= p)
    assert scores["coverage"] == pytest.approx(below / sum(weight), rel=1e-9)
    assert scores["coverage_error"] == pytest.approx(abs(below / sum(weight) - level), abs=1e-9)
    assert ("mae" in scores) == (level == 0.5)
    assert not {"r2", "rmse", "bias"} & set(scores)


@pytest.mark.parametrize("seed", TABLES)
def test_absolute_errors_are_scored_as_scikit_learn_does(seed: int) -> None:
    truth, predicted, weight = draw_table(seed)
    scores = score(make_label("regression", "absolute_error"), truth, predicted, weight)
    expected = sk.mean_absolute_error(truth, predicted, sample_weight=weight)
    assert scores["mae"] == pytest.approx(expected, rel=1e-9)
    assert "rmse" in scores
    if not is_constant(truth, weight):
        expected = sk.d2_absolute_error_score(truth, predicted, sample_weight=weight)
        assert scores["d2_absolute_error"] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seed", TABLES)
def test_rates_are_scored_as_scikit_learn_does(seed: int) -> None:
    truth, predicted, weight = draw_table(seed, counts=True)
    scores = score(LabelSpec(kind="count"), truth, predicted, weight)
    expected = sk.mean_poisson_deviance(truth, predicted, sample_weight=weight)
    assert scores["poisson_deviance"] == pytest.approx(expected, rel=1e-9)
    if is_constant(truth, weight):
        assert "d2_poisson" not in scores
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sk.d2_tweedie_score(truth, predicted, sample_weight=weight, power=1)
    assert scores["d2_poisson"] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("seed", TABLES[::4])
def test_hubers_loss_is_scipys_and_its_constant_the_best(seed: int) -> None:
    truth, predicted, weight = draw_table(seed)
    unit = float(np.abs(truth).max()) or 1.0
    delta = unit * (0.01, 0.3, 5.0)[seed % 3]
    scores = score(
        make_label("regression", {"kind": "huber", "delta": delta}), truth, predicted, weight
    )
    expected = float(np.average(huber(delta, truth - predicted), weights=weight))
    assert scores["huber_loss"] == pytest.approx(expected, rel=1e-9)

    def of_constant(constant: float) -> float:
        return float(np.average(huber(delta, truth - constant * unit), weights=weight))

    span = (truth.min() / unit, truth.max() / unit)
    best = minimize_scalar(of_constant, bounds=span, method="bounded", options={"xatol": 1e-12})
    if "d2_huber" in scores:
        of_best = scores["huber_loss"] / (1 - scores["d2_huber"])
        assert of_best <= best.fun * (1 + 1e-7)
        assert of_best == pytest.approx(best.fun, rel=1e-4)
    else:
        assert is_constant(truth, weight)


def focal_by_loop(label: LabelSpec, truth: Any, output: Any, weight: Any, gamma: float) -> float:
    """The weighted mean of -(1 - p) ** gamma ln p, of several labels the mean over them."""
    total = 0.0
    alpha = label.loss.alpha
    for t, p, w in zip(truth, output, weight, strict=True):
        if label.kind == "classes":
            total += w * -((1 - p[t]) ** gamma) * np.log(p[t])
            continue
        each = []
        for one, chance in zip(np.atleast_1d(t), np.atleast_1d(p), strict=True):
            true = chance if one else 1 - chance
            factor = 1.0 if alpha is None else (alpha if one else 1 - alpha)
            each.append(-factor * (1 - true) ** gamma * np.log(true))
        total += w * np.mean(each)
    return total / sum(weight)


@pytest.mark.parametrize("kind", ["binary", "classes", "multi_label"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_the_focal_loss_and_its_constant(kind: str, gamma: float, alpha: float | None) -> None:
    if kind == "classes" and alpha:
        return  # refused: classes have weights
    random = np.random.default_rng(5)
    label = make_label(kind, {"kind": "focal", "gamma": gamma, "alpha": alpha})
    rows, weight = 60, random.choice([0.0, 1.0, 7.0], 60)
    truth: np.ndarray
    if kind == "classes":
        truth = random.choice([0, 0, 0, 1, 3], rows)  # one class does not occur
        output = random.dirichlet(np.ones(4), rows)
    else:
        shape = (rows, 4) if kind == "multi_label" else (rows,)
        truth = (random.random(shape) < 0.2).astype(np.float32)
        output = random.uniform(0.05, 0.95, shape)
    scores = score(label, truth, output, weight)
    expected = focal_by_loop(label, truth, output, weight, gamma)
    assert scores["focal_loss"] == pytest.approx(expected, rel=1e-9)
    assert scores["log_loss"] > 0  # and the metrics of the label's kind

    constant = label.definition.predict_constant(truth, weight, label)
    assert constant.shape == label.definition.get_label_shape(label) or kind == "classes"

    def of_logits(logits: np.ndarray) -> float:
        if kind == "classes":
            odds = np.exp(logits - logits.max())
            guess = odds / odds.sum()
        else:
            guess = 1 / (1 + np.exp(-logits))
            guess = guess[0] if kind == "binary" else guess
        guesses = np.broadcast_to(guess, output.shape).clip(1e-12, 1 - 1e-12)
        return focal_by_loop(label, truth, guesses, weight, gamma)

    size = 1 if kind == "binary" else len(CLASSES)
    searched = minimize(of_logits, np.zeros(size), method="Nelder-Mead", options={
        "maxiter": 4000, "maxfev": 4000, "xatol": 1e-9, "fatol": 1e-12
    })  # fmt: skip
    of_best = scores["focal_loss"] / (1 - scores["d2_focal"])
    assert of_best <= searched.fun * (1 + 1e-6)
    assert of_best == pytest.approx(searched.fun, rel=1e-3)
    guesses = np.broadcast_to(constant, output.shape).clip(1e-12, 1 - 1e-12)
    assert focal_by_loop(label, truth, guesses, weight, gamma) == pytest.approx(of_best, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # Labels 1, 2, 3, 4, 100, of which 100 weighs 1 and the others 2.
        ("squared_error", (2 * 10 + 100) / 9),
        ("absolute_error", 3.0),
        ({"kind": "quantile", "level": 0.2}, 1.0),  # 1.8 of a weight of 9 is within the first 2
        ({"kind": "quantile", "level": 0.95}, 100.0),
        # 2 (1 - c) + 2 (2 - c) + 2 (3 - c) + 2 (4 - c) + 6 = 0
        ({"kind": "huber", "delta": 6.0}, (20 + 6) / 8),
    ],
)
@pytest.mark.parametrize("unit", [{}, UNIT])
def test_the_constant_of_each_loss_by_hand(loss: Any, expected: float, unit: Any) -> None:
    label = make_label("regression", loss, **unit)
    numbers = np.array([1.0, 100.0, 2.0, 4.0, 3.0])
    truth = ((numbers - label.center) / label.scale).astype(np.float32)
    weight = np.array([2.0, 1.0, 2.0, 2.0, 2.0])
    constant = label.definition.predict_constant(truth, weight, label)
    converted = label.definition.convert_output(constant, label)
    assert float(converted) == pytest.approx(expected, rel=1e-6)


def test_the_constants_that_kinds_have_by_themselves() -> None:
    weight = np.array([1.0, 1.0, 2.0])
    for kind, truth, expected in (
        ("binary", [1, 0, 0], 0.25),
        ("count", [4, 0, 2], 2.0),
        ("regression", [4, 0, 2], 2.0),
        ("classes", [0, 1, 1], [0.25, 0.75, 0, 0]),
        ("multi_label", [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1]], [0.25, 0, 0.5, 1]),
    ):
        label = LabelSpec(kind=kind, classes=CLASSES if kind in ("classes", "multi_label") else ())
        constant = label.definition.predict_constant(np.array(truth), weight, label)
        np.testing.assert_allclose(constant, expected)


def test_a_baseline_is_scored_by_the_loss() -> None:
    label = make_label("regression", {"kind": "quantile", "level": 0.75})
    rows = {
        "label": np.array([4.0, 0.0]), "value": np.array([2.0, 1.0]), "baseline": np.zeros(2),
    }  # fmt: skip
    scores = label.definition.make_scorer(rows, label, 0.5)(np.ones(2))
    # 0.75 · 2 and 0.25 · 1, beside 0.75 · 4 and 0
    assert scores["pinball_loss"] == pytest.approx(0.875)
    assert scores["baseline_pinball_loss"] == pytest.approx(1.5)
    assert scores["loss_over_baseline"] == pytest.approx(0.875 / 1.5)


def test_what_scorers_give_beside_metrics_is_the_kinds() -> None:
    label = make_label("multi_label", "focal")
    rows = {"label": np.eye(4, dtype=np.float32), "probabilities": np.full((4, 4), 0.25)}
    scorer = label.definition.make_scorer(rows, label, 0.5)
    assert scorer.rows == 4
    assert scorer.count_outcomes() == {"rows": 4.0, "positives": 4.0}
    assert len(scorer.describe_labels(np.ones(4), CLASSES)) == 4
