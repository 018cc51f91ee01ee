"""Every metric and interval on 200 small tables, compared with scikit-learn and bare loops.

The tables have ties, classes that do not occur, weights that are 0, 1e-12 and 1e12 beside 1, and
targets of 1e-12 to 1e12. A draw of the bootstrap is how often each row weighs.
"""

import math
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from sklearn import metrics as sk

from headrace.evaluate.bootstrap import compute_intervals
from headrace.labels.calibration import CALIBRATION_BINS
from headrace.labels.kinds import KINDS
from headrace.labels.spec import LabelSpec

TABLES, DRAWS = 200, 3
SIZES = (1e-12, 1e-6, 1.0, 1e6, 1e12)
AVERAGES = ("macro", "micro", "weighted")
Rows = Mapping[str, np.ndarray]
Reference = Callable[[Rows, np.ndarray], dict[str, float]]


def draw_weight(random: np.random.Generator, rows: int) -> np.ndarray:
    """Return weights: all 1, or 0 and huge ones among them, or all of them huge or tiny."""
    style = random.integers(5)
    if style == 0:
        return np.ones(rows)
    if style in (1, 2):
        return np.full(rows, (1e12, 1e-12)[style - 1]) * random.integers(1, 4, rows)
    choices = [0.0, 1.0, 3.0, 0.5] if style == 3 else [0.0, 1e-12, 1.0, 1e12]
    weight = random.choice(choices, rows)
    weight[random.integers(rows)] = 1.0
    return weight


def draw_probability(random: np.random.Generator, *shape: int) -> np.ndarray:
    ties = random.choice([0.0, 0.25, 0.5, 0.75, 1.0, 1e-9], shape)
    return np.where(random.random(shape) < 0.5, ties, random.random(shape)).astype(np.float32)


def measure_calibration(probability: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> float:
    error = 0.0
    for number in range(CALIBRATION_BINS):
        low, high = number / CALIBRATION_BINS, (number + 1) / CALIBRATION_BINS
        own = (probability > low) & (probability <= high) | (number == 0) & (probability == 0)
        error += abs(math.fsum(weight[own] * (probability[own] - outcome[own])))
    return error / math.fsum(weight)


def average_support(truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray, **options):
    result = {}
    for average in AVERAGES:
        values = sk.precision_recall_fscore_support(
            truth, predicted, average=average, zero_division=0, sample_weight=weight, **options
        )
        for name, value in zip(("precision", "recall", "f1"), values, strict=False):
            result[f"{name}_{average}"] = value
    return result


# --- a binary label -------------------------------------------------------------------------------
def draw_binary(random: np.random.Generator, rows: int) -> tuple[LabelSpec, dict[str, np.ndarray]]:
    label = (random.random(rows) < random.choice([0.0, 0.1, 0.5, 1.0])).astype(np.float32)
    return LabelSpec(kind="binary"), {"label": label, "probability": draw_probability(random, rows)}


def score_binary(rows: Rows, weight: np.ndarray) -> dict[str, float]:
    truth, score = rows["label"].astype(int), rows["probability"].astype(np.float64)
    predicted = (score >= 0.5).astype(int)
    options = {"sample_weight": weight}
    result = {
        "accuracy": sk.accuracy_score(truth, predicted, **options),
        "precision": sk.precision_score(truth, predicted, zero_division=0, **options),
        "recall": sk.recall_score(truth, predicted, zero_division=0, **options),
        "f1": sk.f1_score(truth, predicted, zero_division=0, **options),
        **average_support(truth, predicted, weight),
        "log_loss": sk.log_loss(truth, score, labels=[0, 1], **options),
        "brier": sk.brier_score_loss(truth, score, pos_label=1, labels=[0, 1], **options),
        "calibration_error": measure_calibration(score, truth, weight),
    }
    if len(np.unique(truth[weight > 0])) == 2:
        result["roc_auc"] = sk.roc_auc_score(truth, score, **options)
        result["pr_auc"] = sk.average_precision_score(truth, score, **options)
        rare = min(weight[truth == value].sum() for value in (0, 1)) / weight.sum()
        constant = -rare * np.log(rare) - (1 - rare) * np.log1p(-rare)
        result["normalized_entropy"] = result["log_loss"] / constant
    return result


# --- classes --------------------------------------------------------------------------------------
def draw_classes(random: np.random.Generator, rows: int) -> tuple[LabelSpec, dict[str, np.ndarray]]:
    count = int(random.integers(2, 7))
    label = random.integers(0, random.integers(1, count + 1), rows).astype(np.int32)
    probabilities = draw_probability(random, rows, count) + np.float32(1e-3)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = tuple("abcdefg"[:count])
    return LabelSpec(kind="classes", classes=names), {
        "label": label, "probabilities": probabilities,
    }  # fmt: skip


def score_classes(rows: Rows, weight: np.ndarray) -> dict[str, float]:
    truth, probabilities = rows["label"], rows["probabilities"]
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    predicted, labels = probabilities.argmax(axis=1), range(exact.shape[1])
    options = {"sample_weight": weight}
    result = {
        "accuracy": sk.accuracy_score(truth, predicted, **options),
        **average_support(truth, predicted, weight),
        "log_loss": sk.log_loss(truth, exact, labels=labels, **options),
        "brier": float(
            np.average(((exact - np.eye(len(labels))[truth]) ** 2).sum(1), weights=weight)
        ),
        "calibration_error": measure_calibration(
            exact[np.arange(len(truth)), predicted], (predicted == truth).astype(float), weight
        ),
    }
    for count in (2, 3, 5):
        if count < len(labels):
            result[f"top_{count}"] = (
                sk.top_k_accuracy_score(truth, probabilities, k=count, labels=labels, **options)
                if len(labels) > 2
                else 1.0
            )
    if len(np.unique(truth[weight > 0])) == len(labels):
        areas = [
            sk.roc_auc_score(truth == c, probabilities[:, c], sample_weight=weight) for c in labels
        ]
        result["roc_auc_ovr"] = float(np.mean(areas))
    return result


# --- several labels -------------------------------------------------------------------------------
def draw_multi_label(
    random: np.random.Generator, rows: int
) -> tuple[LabelSpec, dict[str, np.ndarray]]:
    count = int(random.integers(2, 5))
    label = (random.random((rows, count)) < random.choice([0, 0.2, 0.6, 1], count)).astype(
        np.float32
    )
    return LabelSpec(kind="multi_label", classes=tuple("abcde"[:count])), {
        "label": label, "probabilities": draw_probability(random, rows, count),
    }  # fmt: skip


def score_multi_label(rows: Rows, weight: np.ndarray) -> dict[str, float]:
    truth, score = rows["label"].astype(int), rows["probabilities"].astype(np.float64)
    predicted = (score >= 0.5).astype(int)
    flat = truth.reshape(-1), score.reshape(-1)
    repeated, options = np.repeat(weight, truth.shape[1]), {"sample_weight": weight}
    result = {
        "exact_match": sk.accuracy_score(truth, predicted, **options),
        "hamming_loss": sk.hamming_loss(truth, predicted, **options),
        **average_support(truth, predicted, weight),
        "log_loss": sk.log_loss(*flat, labels=[0, 1], sample_weight=repeated),
        "brier": sk.brier_score_loss(*flat, pos_label=1, labels=[0, 1], sample_weight=repeated),
        "calibration_error": measure_calibration(flat[1], flat[0], repeated),
    }
    both = [i for i in range(truth.shape[1]) if len(np.unique(truth[weight > 0, i])) == 2]
    for name, function in (("roc_auc", sk.roc_auc_score), ("pr_auc", sk.average_precision_score)):
        if both:
            areas = [function(truth[:, i], score[:, i], **options) for i in both]
            result[f"{name}_macro"] = float(np.mean(areas))
        if len(np.unique(flat[0][repeated > 0])) == 2:
            result[f"{name}_micro"] = function(*flat, sample_weight=repeated)
    return result


# --- numbers --------------------------------------------------------------------------------------
def draw_numbers(random: np.random.Generator, rows: int) -> tuple[LabelSpec, dict[str, np.ndarray]]:
    size = float(random.choice(SIZES))
    center = size * float(random.choice([0.0, 1.0, -1e3]))
    truth, value = np.round(random.normal(size=(2, rows)), int(random.integers(0, 4))).astype(
        np.float32
    )
    spec = LabelSpec(kind="regression", center=center, scale=size, baseline=True)
    baseline = (center + size * np.round(random.normal(size=rows), 1)).astype(np.float32)
    return spec, {"label": truth, "value": value, "baseline": baseline}


def draw_counts(random: np.random.Generator, rows: int) -> tuple[LabelSpec, dict[str, np.ndarray]]:
    size = float(random.choice(SIZES))
    truth = (size * random.poisson(2, rows)).astype(np.float32)
    value = (size * random.choice([1e-3, 0.5, 1.0, 2.0, 7.0], rows)).astype(np.float32)
    return LabelSpec(kind="count"), {"label": truth, "value": value}


def find_quantile(error: np.ndarray, weight: np.ndarray, share: float) -> float:
    """Return the quantile by exact sums; the mean of two where the share is reached exactly."""
    order = np.argsort(error, kind="stable")
    order = order[weight[order] > 0]
    total, so_far = math.fsum(weight[order]), []
    for position in order:
        so_far.append(weight[position])
        distance = math.fsum(so_far) - share * total
        if abs(distance) <= 1e-12 * total:
            after = order[min(len(so_far), len(order) - 1)]
            return float((error[position] + error[after]) / 2)
        if distance > 0:
            return float(error[position])
    return float(error[order[-1]])


def score_numbers(spec: LabelSpec) -> Reference:
    def score(rows: Rows, weight: np.ndarray) -> dict[str, float]:
        truth, value = (
            rows[n].astype(np.float64) * spec.scale + spec.center for n in ("label", "value")
        )
        options, error = {"sample_weight": weight}, np.abs(value - truth)
        mse = sk.mean_squared_error(truth, value, **options)
        result = {
            "mse": mse,
            "half_mse": mse / 2,
            "rmse": sk.root_mean_squared_error(truth, value, **options),
            "mae": sk.mean_absolute_error(truth, value, **options),
            "mape": sk.mean_absolute_percentage_error(truth, value, **options),
            "bias": math.fsum(weight * (value - truth)) / math.fsum(weight),
            "median_absolute_error": find_quantile(error, weight, 0.5),
            "largest_error": sk.max_error(truth[weight > 0], value[weight > 0]),
        }
        for percent in (90, 95, 99):
            result[f"absolute_error_p{percent}"] = find_quantile(error, weight, percent / 100)
        own = weight > 0
        if np.ptp(truth[own]) > 0:
            result["r2"] = sk.r2_score(truth[own], value[own], sample_weight=weight[own])
        if "baseline" in rows:
            baseline = rows["baseline"].astype(np.float64)
            result["baseline_mae"] = sk.mean_absolute_error(truth, baseline, **options)
            result["baseline_rmse"] = sk.root_mean_squared_error(truth, baseline, **options)
            if result["baseline_mae"] > 0:
                result["mae_over_baseline"] = result["mae"] / result["baseline_mae"]
        if spec.kind == "count":
            result["poisson_deviance"] = sk.mean_poisson_deviance(truth, value, **options)
            if np.ptp(truth[own]) > 0:
                weighted = {"sample_weight": weight[own], "power": 1}
                result["d2_poisson"] = sk.d2_tweedie_score(truth[own], value[own], **weighted)
        return result

    return score


TABLES_BY_KIND = {
    "binary": (draw_binary, lambda spec: score_binary),
    "classes": (draw_classes, lambda spec: score_classes),
    "multi_label": (draw_multi_label, lambda spec: score_multi_label),
    "regression": (draw_numbers, score_numbers),
    "count": (draw_counts, score_numbers),
}


def measure_size(name: str, spec: LabelSpec) -> float:
    """Return the size of what a metric of numbers is a sum of, by which sums cancel."""
    if name in ("mse", "half_mse"):
        return spec.scale**2
    is_number = name in ("rmse", "mae", "bias") or "absolute_error" in name or "largest" in name
    return spec.scale if is_number else 1.0


def check_equal(
    got: Mapping[str, float], expected: Mapping[str, float], spec: LabelSpec, where: object
) -> None:
    assert set(got) == set(expected), where
    for name, value in expected.items():
        size = measure_size(name, spec)
        assert got[name] == pytest.approx(value, rel=1e-9, abs=1e-12 * size), (where, name)


def check_table(kind: str, seed: int) -> None:
    random = np.random.default_rng([seed, *kind.encode()])
    rows_count = int(random.integers(2, 25))
    draw, make_reference = TABLES_BY_KIND[kind]
    spec, rows = draw(random, rows_count)
    weight = draw_weight(random, rows_count)
    reference = make_reference(spec)
    scorer = spec.definition.make_scorer(rows, spec, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_equal(scorer(weight), reference(rows, weight), spec, (kind, seed))
        intervals = compute_intervals(scorer, weight, draws=DRAWS, confidence=0.9, seed=seed)
        draws: list[dict[str, float]] = []
        chosen = np.random.default_rng(seed)
        for _ in range(DRAWS):
            times = np.bincount(chosen.integers(0, rows_count, rows_count), minlength=rows_count)
            if (drawn := weight * times).sum() > 0:
                draws.append(reference(rows, drawn))
    for name, interval in intervals.items():
        values = [draw[name] for draw in draws if name in draw]
        low, high = np.quantile(values, [0.05, 0.95])
        size = measure_size(name, spec)
        where = (kind, seed, name)
        assert interval.low == pytest.approx(low, rel=1e-8, abs=1e-11 * size), where
        assert interval.high == pytest.approx(high, rel=1e-8, abs=1e-11 * size), where


def test_every_kind_of_label_has_its_tables() -> None:
    assert set(TABLES_BY_KIND) == set(KINDS)


@pytest.mark.parametrize("kind", TABLES_BY_KIND)
def test_metrics_and_intervals_equal_those_of_scikit_learn(kind: str) -> None:
    for seed in range(TABLES // len(TABLES_BY_KIND)):
        check_table(kind, seed)
