"""Compare a model with its references: the same test rows, weights and draws (a paired bootstrap).

References are the constant, the trees, and what the recipe's `label.baseline` says. Which metrics
are compared is decided here; whether a difference is enough is left to the gates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from headrace.errors import TrainError
from headrace.evaluate.bootstrap import (
    DrawnMetrics,
    MetricFunction,
    PairedDifference,
    draw_metrics,
    pair_draws,
)
from headrace.evaluate.references.compute import References, digest_rows
from headrace.evaluate.sketched import SketchedRows, sketch_predictions
from headrace.labels.constant import choose_score, describe_constant, make_constant_scorer
from headrace.labels.kinds import find_label_kind
from headrace.labels.losses.loss import Loss
from headrace.labels.ranking import LIST, list_ranking_metrics
from headrace.labels.spec import LabelSpec
from headrace.models.threshold import choose_threshold
from headrace.number_text import format_number
from headrace.recipe import sections as s

CONSTANT: Literal["constant"] = "constant"
TREE, BASELINE = "tree", "label.baseline"
PHRASES = {CONSTANT: "the constant", TREE: "the tree", BASELINE: "label.baseline"}
"""References as a sentence names them."""
_DECISIONS = {"binary": "accuracy", "classes": "accuracy", "multi_label": "hamming_loss"}


@dataclass(frozen=True)
class ReferenceResult:
    """The comparison of a model with one reference.

    Attributes:
        name: `constant`, `tree` or `label.baseline`.
        about: what it is, in words.
        metrics: of the reference.
        differences: by metric; None where it is not defined of both.
    """

    name: str
    about: str
    metrics: dict[str, float]
    differences: dict[str, PairedDifference | None]


@dataclass(frozen=True)
class ReferenceComparison:
    """The comparison of a model with all of its references.

    Attributes:
        results: one for each.
        left_out: reference -> why there is none of it.
        rows: test rows that have weight.
        confidence: of two-sided intervals.
        hint: what may explain that a reference is better; empty where nothing is known.
        facts: how the references were fitted, as plain values.
        notes: what the user has to know of their computation.
    """

    results: Sequence[ReferenceResult] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    confidence: float = 0.95
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def find_result(self, name: str) -> ReferenceResult | None:
        """Return the comparison with a reference; None where there is none."""
        return next((result for result in self.results if result.name == name), None)


def list_default_gates(
    kind: str, threshold: float, loss: Loss | None = None
) -> list[s.BaselineGate]:
    """Return the gates of a recipe that has none: better than the constant.

    Judged by the proper score of the kind, which neither rare classes nor a chosen threshold
    distort. Where nobody chose a threshold, decisions must not be shown to be worse than always the
    same one either: that is what users see first.

    Args:
        kind: name of the label's kind.
        threshold: of the model, where the kind has one.
        loss: of the model under `train.loss`, which is the score then.
    """
    gates = [s.BaselineGate(kind="baseline", against=CONSTANT, metric=choose_score(kind, loss))]
    if kind in _DECISIONS and (threshold == 0.5 or not find_label_kind(kind).has_threshold):
        decisions = s.BaselineGate(
            kind="baseline",
            against=CONSTANT,
            metric=_DECISIONS[kind],
            not_worse_by=0.0,
            confidence=0.05,
        )
        gates.append(decisions)
    return gates


def list_compared_metrics(settings: s.Evaluate, label: LabelSpec, threshold: float) -> list[str]:
    """Return the metrics that models and references are compared by, each once."""
    gates: Sequence[s.Gate] = (
        list_default_gates(label.kind, threshold, label.loss)
        if settings.gates is None
        else settings.gates
    )
    return list(
        dict.fromkeys(
            [
                choose_score(label.kind, label.loss),
                settings.metric or label.main_metric,
                *(gate.metric for gate in gates if isinstance(gate, s.BaselineGate)),
                *list_ranking_metrics(label.cutoffs),
            ]
        )
    )


def compare_references(
    references: References | None,
    model: DrawnMetrics,
    test: Mapping[str, np.ndarray],
    validation: Mapping[str, np.ndarray],
    weight: np.ndarray,
    label: LabelSpec,
    threshold: float,
    settings: s.Evaluate,
    sketched: SketchedRows | None = None,
) -> ReferenceComparison:
    """Compare a model with the references on all test rows.

    Args:
        references: of the dataset; None where the recipe wants none.
        model: metrics and draws of the model on the test rows.
        test, validation: rows of the splits in the order of `predict_rows`.
        weight: of the test rows, float64 (rows,).
        label: what labels mean.
        threshold: of the model.
        settings: metrics, gates, bootstrap.
        sketched: the test rows where they are very many; references are sketched then, too.
    """
    notes = list(references.notes) if references else []
    left_out = dict(references.left_out) if references else {}
    drawn_by_name: dict[str, tuple[str, DrawnMetrics]] = {}
    kind = label.definition

    def draw_scorer(scorer: MetricFunction) -> DrawnMetrics:
        return draw_metrics(
            scorer, weight, draws=settings.bootstrap, seed=settings.seed, lists=test.get(LIST)
        )

    def draw_output(output: np.ndarray, own_threshold: float) -> DrawnMetrics:
        names = ("label", LIST, *(("row_id", "sample_weight") if sketched else ()))
        rows = {**{name: test[name] for name in names if name in test}, kind.output: output}
        if sketched:
            return sketch_predictions(rows, label, own_threshold, settings).drawn
        return draw_scorer(kind.make_scorer(rows, label, own_threshold))

    def draw_constant(constant: np.ndarray) -> DrawnMetrics:
        if sketched is None:
            return draw_scorer(make_constant_scorer(constant, test, label))
        if sketched.class_weights is None:
            return draw_output(np.broadcast_to(constant, len(test["label"])), threshold)
        both = {"label": np.array([0, 1], np.float32)}
        own, *draws = map(make_constant_scorer(constant, both, label), sketched.class_weights)
        return DrawnMetrics(own, draws, len(draws))

    if references and CONSTANT in settings.references:
        about = describe_constant(label, references.constant)
        about = f"{about} {_format_rows(references.facts, 'constant_rows')}"
        drawn_by_name[CONSTANT] = (about, draw_constant(references.constant))
    if references and references.tree is not None:
        own = _choose_threshold(references, validation, threshold, settings, notes)
        if references.row_digests["test"] != digest_rows(test["row_id"], test["label"]):
            left_out[TREE] = "its predictions are of other rows than the model's"
        else:
            about = (
                f"{references.facts['tree_iterations']} iterations of gradient boosting "
                f"{_format_rows(references.facts, 'tree_rows')}"
            )
            drawn_by_name[TREE] = (about, draw_output(references.tree["test"], own))
    if "baseline" in test:
        output = (test["baseline"].astype(np.float64) - label.center) / label.scale
        drawn_by_name[BASELINE] = ("the recipe's", draw_output(output, threshold))
    metrics = list_compared_metrics(settings, label, threshold)
    shown = dict.fromkeys([*metrics, *label.tagged_metrics])
    results = []
    for name, (about, drawn) in drawn_by_name.items():
        differences = {
            m: pair_draws(model, drawn, m, higher_is_better=kind.is_higher_better(m))
            for m in metrics
        }
        values = {m: drawn.metrics[m] for m in shown if m in drawn.metrics}
        results.append(ReferenceResult(name, about, values, differences))
    hint = ""
    if label.weighted and not settings.weighted:
        hint = (
            "the model was trained with weights of rows, and is judged without them; see "
            "evaluate.weighted"
        )
    return ReferenceComparison(
        results=results,
        left_out=left_out,
        rows=sketched.weighted_rows if sketched else int((weight > 0).sum()),
        confidence=settings.confidence,
        hint=hint,
        facts=references.facts if references else {},
        notes=notes,
    )


def _format_rows(facts: Mapping[str, Any], key: str) -> str:
    rows, total = facts[key], facts["train_rows"]
    which = f"all {rows:,}" if rows == total else f"{rows:,} of {total:,}"
    return f"(fitted on {which} train rows{', weighted' if facts['weighted'] else ''})"


def _choose_threshold(
    references: References,
    validation: Mapping[str, np.ndarray],
    threshold: float,
    settings: s.Evaluate,
    notes: list[str],
) -> float:
    """Choose the trees' threshold as the recipe has the model's chosen: on the validation split."""
    choice = settings.threshold
    assert references.tree is not None
    if isinstance(choice, float) or not validation:
        return threshold
    digest = digest_rows(validation["row_id"], validation["label"])
    if references.row_digests.get("validation") != digest:
        return threshold
    at_least = getattr(choice, "at_least", 0.0)
    try:
        chosen = choose_threshold(
            validation["label"], references.tree["validation"], choice.choose, at_least
        )
    except TrainError:
        notes.append(f"the tree has the model's threshold: on its own, no {choice.choose} suffices")
        return threshold
    return chosen.threshold


def format_differences(comparison: ReferenceComparison, metric: str) -> str:
    """Return the comparison by one metric in words; empty where there is none.

    For example `better than the constant by 0.21 ± 0.02, worse than the tree by 0.01 ± 0.01`.
    """
    parts = []
    for result in comparison.results:
        difference = result.differences.get(metric)
        if difference is None:
            continue
        name = PHRASES[result.name]
        if difference.better_by == 0:
            parts.append(f"equal to {name}")
            continue
        way = "better" if difference.better_by > 0 else "worse"
        ends = difference.find_interval(comparison.confidence)
        shown = format_with_margin(abs(difference.better_by), ends)
        parts.append(f"{way} than {name} by {shown}")
    return ", ".join(parts)


def list_metrics(comparison: ReferenceComparison) -> list[str]:
    """Return the metrics that are compared with any reference."""
    return list(dict.fromkeys(m for r in comparison.results for m in r.differences))


def format_with_margin(value: float, ends: tuple[float, float] | None) -> str:
    """Return a number with half the width of its interval, in as many digits as that one has.

    Args:
        value: the number.
        ends: of the interval; None shows none.
    """
    if ends is None:
        return f"{format_number(value, 3)} (no interval)"
    margin = (ends[1] - ends[0]) / 2
    if not margin > 0:
        return f"{format_number(value, 4)} ± 0"
    decimals = 1 - int(np.floor(np.log10(margin)))  # of two significant digits of the margin
    if 0 < decimals <= 7:
        return f"{value:,.{decimals}f} ± {margin:.{decimals}f}"
    if value < 1e7 and decimals <= 0:
        return f"{round(value, decimals):,.0f} ± {round(margin, decimals):,.0f}"
    return f"{format_number(value, 3)} ± {format_number(margin, 2)}"


def collect_reference_metrics(comparison: ReferenceComparison) -> dict[str, float]:
    """Return the metrics of the references for the run: `constant_log_loss`, `tree_roc_auc`.

    Those of `label.baseline` are logged as metrics of the model, `baseline_mae`.
    """
    return {
        f"{result.name}_{metric}": value
        for result in comparison.results
        if result.name != BASELINE
        for metric, value in result.metrics.items()
    }


def comparison_to_dict(comparison: ReferenceComparison) -> dict[str, Any]:
    """Return a comparison as plain values, for `verdict.json`."""
    results = {}
    for result in comparison.results:
        differences: dict[str, Any] = {}
        for metric, difference in result.differences.items():
            if difference is None:
                continue
            ends = difference.find_interval(comparison.confidence)
            differences[metric] = {
                "model": difference.model,
                "reference": difference.reference,
                "better_by": difference.better_by,
                "interval": list(ends) if ends else None,
            }
        results[result.name] = {
            "about": result.about,
            "metrics": result.metrics,
            "compared": differences,
        }
    return {
        "results": results,
        "left_out": dict(comparison.left_out),
        "fitted": dict(comparison.facts),
        "notes": list(comparison.notes),
        "words": {m: format_differences(comparison, m) for m in list_metrics(comparison)},
    }
