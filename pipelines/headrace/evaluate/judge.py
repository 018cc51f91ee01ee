"""From gathered predictions to metrics, intervals, slices, pictures and a verdict: rank 0's part.

No ranks, no MLflow, no TensorFlow: arrays and settings in, plain values and figures out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from headrace.errors import ModelError
from headrace.evaluate import plots
from headrace.evaluate.bootstrap import Interval, intervals
from headrace.evaluate.importance import Importance
from headrace.evaluate.leakage import Strength
from headrace.evaluate.metrics import BinaryScorer, scorer_of
from headrace.evaluate.multi_label_metrics import LabelsScorer, rows_together, step_of
from headrace.evaluate.slices import (
    AnyScorer,
    SliceResult,
    codes_of,
    slice_results,
    worst_first,
)
from headrace.models.build import OUTPUT
from headrace.models.reference import in_own_unit
from headrace.models.threshold import thresholds
from headrace.recipe import sections as s
from headrace.recipe.metric_names import DIRECTIONS, MAIN
from headrace.transform.spec import LabelSpec, TransformSpec

_TABLE = np.round(np.arange(0.05, 1.0, 0.05), 2)


@dataclass(frozen=True)
class Evidence:
    """What is known of a model.

    Attributes:
        spec: the dataset's transform.
        threshold: of a binary label, and of each of several.
        test: gathered rows, see `predicting.Rows`.
        validation, train: likewise; empty where the split has no rows. Of train some.
        slice_columns: of the test rows, in their order: what the slices need.
        history: metric -> epochs and values.
        importances: the most important first; empty where they were not asked for.
        strengths: the strongest first.
    """

    spec: TransformSpec
    threshold: float
    test: Mapping[str, np.ndarray]
    validation: Mapping[str, np.ndarray]
    train: Mapping[str, np.ndarray]
    slice_columns: pa.Table
    history: Mapping[str, Sequence[tuple[int, float]]]
    importances: Sequence[Importance] = ()
    strengths: Sequence[Strength] = ()


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        metrics: of the test split, counts included.
        intervals: of those that have one.
        metric: by which slices are ordered.
        slices: the worst first.
        thresholds: rows of the threshold table.
        labels: of several labels a row, what is known of each.
        figures: by file name.
    """

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    metric: str
    slices: list[SliceResult]
    thresholds: list[dict[str, float]]
    labels: list[dict[str, float | str]] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)


def judge(evidence: Evidence, settings: s.Evaluate) -> Outcome:
    """Judge.

    Raises:
        ModelError: a prediction is not finite, or there is no row.
    """
    label, test = evidence.spec.label, evidence.test
    scorer = scorer_of(test, label, evidence.threshold)
    weight = weights_of(test, settings)
    metrics = {**scorer.counts(), **scorer(weight)}
    if label.has_threshold:
        metrics["threshold"] = evidence.threshold
    made = intervals(
        scorer,
        weight,
        draws=settings.bootstrap,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    metric = settings.metric or MAIN[label.kind]
    higher = DIRECTIONS[label.kind][metric] == "higher"
    slices = worst_first(_slices(evidence, settings, weight), metric, higher_is_better=higher)
    of_labels = scorer.of_labels(weight, label.classes) if isinstance(scorer, LabelsScorer) else []
    outcome = Outcome(metrics, made, metric, slices, _threshold_table(evidence), of_labels)
    outcome.figures.update(_figures(evidence, weight, outcome))
    return outcome


def weights_of(rows: Mapping[str, np.ndarray], settings: s.Evaluate) -> np.ndarray:
    """float64 (rows,): 1, or the sample weights where the recipe wants them.

    Raises:
        ModelError: all of them are 0.
    """
    if settings.weighted and "sample_weight" in rows:
        weight = rows["sample_weight"].astype(np.float64)
        if not weight.sum() > 0:
            raise ModelError(
                "every row to judge the model on has a sample weight of 0; set evaluate.weighted "
                "to false, or look at label.sample_weight"
            )
        return weight
    return np.ones(len(rows["label"]))


def metric_of(
    output: np.ndarray, truth: np.ndarray, label: LabelSpec, threshold: float, metric: str
) -> float:
    """One metric of some rows, all weighing the same; NaN where it is not defined."""
    rows = {"label": truth, OUTPUT[label.kind]: output}
    return scorer_of(rows, label, threshold)(np.ones(len(truth))).get(metric, float("nan"))


def _slices(evidence: Evidence, settings: s.Evaluate, weight: np.ndarray) -> list[SliceResult]:
    def scorer_of_rows(rows: np.ndarray) -> AnyScorer:
        part = {name: array[rows] for name, array in evidence.test.items()}
        return scorer_of(part, evidence.spec.label, evidence.threshold)

    found: list[SliceResult] = []
    for item in settings.slices:
        codes, names = codes_of(item, evidence.spec, evidence.slice_columns)
        found += slice_results(item, codes, names, scorer_of_rows, weight, settings)
    return found


def _threshold_table(evidence: Evidence) -> list[dict[str, float]]:
    """What other thresholds would do; on the validation split, where the choice belongs."""
    if not evidence.spec.label.has_threshold:
        return []
    rows = _as_one(evidence.validation or evidence.test)
    table = []
    for threshold in sorted({*_TABLE.tolist(), evidence.threshold}):
        scorer = BinaryScorer(rows["label"], rows["probability"], threshold)
        found = scorer(np.ones(scorer.rows))
        named = float(np.mean(rows["probability"].astype(np.float64) >= threshold))
        names = ("precision", "recall", "f1", "accuracy")
        table.append(
            {"threshold": threshold, **{n: found[n] for n in names}, "share positive": named}
        )
    return table


def _as_one(rows: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Rows of a binary label; several labels count as rows of one."""
    return rows_together(rows) if rows["label"].ndim == 2 else rows


def _figures(evidence: Evidence, weight: np.ndarray, outcome: Outcome) -> dict[str, Figure]:
    found = _figures_of_kind(evidence, weight)
    if outcome.labels:
        found["labels.png"] = plots.label_bars(outcome.labels)
    if evidence.history:
        found["learning_curves.png"] = plots.learning_curves(evidence.history)
    if any(not r.small and outcome.metric in r.metrics for r in outcome.slices):
        whole = outcome.metrics.get(outcome.metric, float("nan"))
        found["slices.png"] = plots.worst_slices(outcome.slices, outcome.metric, whole)
    if evidence.importances:
        found["importance.png"] = plots.importance_bars(evidence.importances, outcome.metric)
    return found


def _figures_of_kind(evidence: Evidence, weight: np.ndarray) -> dict[str, Figure]:
    label, test = evidence.spec.label, evidence.test
    splits = {"train": evidence.train, "validation": evidence.validation, "test": test}
    splits = {name: rows for name, rows in splits.items() if rows}
    output = OUTPUT[label.kind]
    if label.kind == "classes":
        predicted = test[output].argmax(axis=1)
        right = (predicted == test["label"]).astype(float)
        chosen = {n: rows[output].argmax(axis=1) for n, rows in splits.items()}
        return {
            "confusion_matrix.png": plots.confusion(
                test["label"], predicted, label.classes, "Confusion matrix"
            ),
            "calibration.png": plots.calibration(
                test[output].max(axis=1), right, "the predicted class"
            ),
            "predictions_by_split.png": plots.by_split(chosen, "predicted class", label.classes),
        }
    if label.kind == "regression":
        truth, predicted = (in_own_unit(test[name], label) for name in ("label", output))
        numbers = {n: in_own_unit(rows[output], label) for n, rows in splits.items()}
        return {
            "predictions_and_residuals.png": plots.predictions_and_residuals(truth, predicted),
            "predictions_by_split.png": plots.by_split(numbers, "prediction"),
        }
    return _binary_figures(evidence, splits, weight)


def _binary_figures(
    evidence: Evidence, splits: Mapping[str, Mapping[str, np.ndarray]], weight: np.ndarray
) -> dict[str, Figure]:
    test, threshold = _as_one(evidence.test), evidence.threshold
    truth, probability = test["label"].astype(np.int64), test["probability"]
    splits = {name: _as_one(rows) for name, rows in splits.items()}
    if evidence.test["label"].ndim == 2:
        weight = weight[:: step_of(evidence.test["label"])]
        weight = np.repeat(weight, len(truth) // len(weight))
    predicted = (probability.astype(np.float64) >= threshold).astype(np.int64)
    several = evidence.spec.label.kind == "multi_label"
    title = f"{'All labels' if several else 'Confusion matrix'}, threshold {threshold:.4g}"
    found = {
        "confusion_matrix.png": plots.confusion(truth, predicted, ("0", "1"), title),
        "calibration.png": plots.calibration(
            probability, truth, "all labels" if several else "label 1"
        ),
        "predictions_by_split.png": plots.by_split(
            {name: rows["probability"] for name, rows in splits.items()}, "probability"
        ),
    }
    curves = {
        name: thresholds(rows["label"], rows["probability"])
        for name, rows in splits.items()
        if name != "train"
    }
    found["thresholds.png"] = plots.threshold_curves(curves, threshold, others=("test",))
    if 0 < (weight * truth).sum() < weight.sum():
        found["roc_and_pr.png"] = plots.roc_and_pr(truth, probability, weight)
    return found


def as_json(outcome: Outcome, evidence: Evidence) -> dict[str, Any]:
    """All figures that were found, as plain values."""
    return {
        "metrics": outcome.metrics,
        "intervals": {n: [i.low, i.high] for n, i in outcome.intervals.items()},
        "thresholds": outcome.thresholds,
        **({"labels": outcome.labels} if outcome.labels else {}),
        "importance": [vars(item) for item in evidence.importances],
        "single_features": [
            {"feature": item.feature, "strength": item.strength, "suspicious": item.suspicious}
            for item in evidence.strengths
        ],
    }
