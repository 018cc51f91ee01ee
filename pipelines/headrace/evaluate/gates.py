"""Check the gates of a recipe and build the verdict: whether the model may be promoted.

Every gate says which number decided it. A verdict is plain values, so that people, schedulers and
`headrace promote` can read it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError

from headrace.evaluate.baseline_gates import check_baseline, check_finite
from headrace.evaluate.bootstrap import Difference
from headrace.evaluate.gate_result import GateResult
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.references.compare import ReferenceComparison, list_default_gates
from headrace.evaluate.slices import SliceResult
from headrace.formats import VERDICT
from headrace.labels.kinds import find_label_kind
from headrace.labels.losses.loss import Loss
from headrace.number_text import format_beside, format_exact, format_number
from headrace.recipe import sections as s
from headrace.recipe.task import list_differences

DISPLAY_SETTINGS = frozenset({"metric", "worst_rows"})
"""Keys of `evaluate` that no gate reads: they say what is shown. All others are criteria."""


@dataclass(frozen=True)
class ChampionComparison:
    """The comparison of a candidate with the champion.

    Attributes:
        uri: of the champion's model version; None where there is no champion yet.
        is_candidate: whether the champion is the candidate itself.
        shared_rows: rows that the two are compared on.
        candidate_rows: all test rows of the candidate.
        seen_rows: those of them that one of both was trained on, or chosen by.
        changed_labels: rows that have another label in the champion's dataset.
        remarks: what has to be said of the comparison.
        differences: by metric and confidence; None where the metric is not defined.
        obstacle: why the two cannot be compared; empty where they can.
    """

    uri: str | None = None
    is_candidate: bool = False
    shared_rows: int = 0
    candidate_rows: int = 0
    seen_rows: int = 0
    changed_labels: int = 0
    remarks: tuple[str, ...] = ()
    differences: Mapping[str, Difference | None] | None = None
    obstacle: str = ""


@dataclass(frozen=True)
class GateInputs:
    """The measurements of a model that gates are checked against.

    Attributes:
        metrics: of the test split.
        bounds: by how much the exact ones may differ from them, above 0.
        slices: the parts of all slices that the recipe declares.
        comparison: with the champion.
        model_bytes: size of the model's files; None where the model does not say.
        measure_latency: from rows per request to milliseconds of several predictions.
        label_kind: name of the kind, which knows which way a metric is better.
        threshold: of the model, where the kind has one.
        loss: of the model under `train.loss`.
        references: comparison with them.
    """

    metrics: Mapping[str, float]
    slices: Sequence[SliceResult]
    comparison: ChampionComparison
    model_bytes: int | None
    measure_latency: Callable[[int], Sequence[float]]
    label_kind: str
    threshold: float = 0.5
    loss: Loss | None = None
    references: ReferenceComparison = field(default_factory=ReferenceComparison)
    bounds: Mapping[str, float] = field(default_factory=dict)


def check_gates(
    gates: Sequence[s.Gate] | None, inputs: GateInputs, strengths: Sequence[FeatureStrength]
) -> list[GateResult]:
    """Check every gate of the recipe, and the one that every recipe has: no suspicious feature.

    Args:
        gates: of the recipe; None for the gates of a recipe that says nothing of them.
        inputs: measurements of the model.
        strengths: of single features; each suspicious one is a gate that failed.
    """
    if gates is None:
        default_gates = list_default_gates(inputs.label_kind, inputs.threshold, inputs.loss)
        results = [check_finite(inputs.metrics)]
        results += [check_baseline(gate, inputs.references) for gate in default_gates]
    else:
        results = [_check_gate(gate, inputs) for gate in gates]
    return [*results, *(_fail_leak(item) for item in strengths if item.is_suspicious)]


def criteria_to_dict(settings: s.Evaluate) -> dict[str, Any]:
    """Return the criteria that a verdict is about: it says nothing about any others."""
    return settings.model_dump(mode="json", exclude=set(DISPLAY_SETTINGS))


def find_other_criteria(settings: s.Evaluate, criteria: Mapping[str, Any]) -> list[str]:
    """Return how the criteria of a verdict differ from those that the recipe has now.

    Args:
        settings: of the recipe.
        criteria: of `criteria_to_dict` when the verdict was built; keys of gates that did not exist
            then have their defaults. Settings that it does not name are not compared: a verdict of
            format 1 has gates and leakage alone.

    Returns:
        a text for each difference, with both values.
    """
    try:
        then = criteria_to_dict(s.Evaluate.model_validate(dict(criteria)))
    except ValidationError as error:
        return [f"evaluate: the verdict has settings that are unknown now, {error.error_count()}"]
    now = criteria_to_dict(settings)
    return [
        text
        for name in now
        if name in criteria
        for text in list_differences(f"evaluate.{name}", then[name], now[name])
    ]


def build_verdict(results: Sequence[GateResult], **context: Any) -> dict[str, Any]:
    """Return the decision as plain values.

    `passed` is null where there was no gate: then nothing was judged.

    Args:
        results: of every gate.
        context: about the model, the dataset and the champion.
    """
    return {
        VERDICT.key: VERDICT.current,
        "passed": all(result.passed for result in results) if results else None,
        **context,
        "gates": [asdict(result) for result in results],
    }


def _check_gate(gate: s.Gate, inputs: GateInputs) -> GateResult:
    config = gate.model_dump(mode="json", exclude_none=True)
    if isinstance(gate, s.MetricGate):
        bound = inputs.bounds.get(gate.metric, 0.0)
        value = inputs.metrics.get(gate.metric)
        return _check_limit(config, gate.metric, value, gate, "", bound=bound)
    if isinstance(gate, s.SliceGate):
        return _check_slices(config, gate, inputs)
    if isinstance(gate, s.ChampionGate):
        return _check_champion(config, gate, inputs.comparison)
    if isinstance(gate, s.BaselineGate):
        return check_baseline(gate, inputs.references)
    if isinstance(gate, s.LatencyGate):
        import numpy as np

        times = inputs.measure_latency(gate.rows)
        value = float(np.percentile(times, gate.percentile))
        text = (
            f"{format_exact(gate.percentile)}th percentile of {len(times)} predictions of "
            f"{gate.rows} rows: {format_beside(value, gate.at_most_milliseconds, 3)} ms, at most "
            f"{format_exact(gate.at_most_milliseconds)}"
        )
        return GateResult(
            config, value <= gate.at_most_milliseconds, value, text, {"times": len(times)}
        )
    if inputs.model_bytes is None:
        text = "the model does not say how large it is; train again"
        return GateResult(config, False, None, text, {})
    size = inputs.model_bytes / 1e6
    text = (
        f"model files: {format_beside(size, gate.at_most_megabytes, 3)} MB, at most "
        f"{format_exact(gate.at_most_megabytes)}"
    )
    return GateResult(config, size <= gate.at_most_megabytes, size, text, {})


def _check_limit(
    config: dict[str, Any],
    metric: str,
    value: float | None,
    gate: "s.MetricGate | s.SliceGate",
    where: str,
    details: dict[str, Any] | None = None,
    bound: float = 0.0,
) -> GateResult:
    """Check a limit that all that the metric may be within its bound has to keep."""
    if value is None:
        text = f"{metric}{where} is not defined on these rows"
        return GateResult(config, False, None, text, details or {})
    if gate.at_least is not None:
        limit, passed, words = gate.at_least, value - bound >= gate.at_least, "at least"
    else:
        assert gate.at_most is not None
        limit, passed, words = gate.at_most, value + bound <= gate.at_most, "at most"
    within = f" within ± {format_number(bound, 2)}" if bound else ""
    text = f"{metric}{where}: {format_beside(value, limit)}{within}, {words} {format_exact(limit)}"
    if not passed and abs(value - limit) <= bound:
        text += ": the bound does not tell on which side it is; raise evaluate.exact_rows"
    known = {**(details or {}), **({"bound": bound} if bound else {})}
    return GateResult(config, passed, value, text, known)


def _check_slices(config: dict[str, Any], gate: s.SliceGate, inputs: GateInputs) -> GateResult:
    slices = [r for r in inputs.slices if list(r.columns) == gate.columns]
    large = [r for r in slices if not r.is_small]
    counts = {"slices": len(large), "too_small": len(slices) - len(large)}
    if not large:
        text = f"no slice by {', '.join(gate.columns)} has enough rows"
        return GateResult(config, False, None, text, counts)
    undefined = [r for r in large if gate.metric not in r.metrics]
    if undefined:
        where = f" of {undefined[0].value} ({undefined[0].rows:,} rows)"
        return _check_limit(config, gate.metric, None, gate, where, counts)
    pick = min if gate.at_least is not None else max
    # The worst that it may be within its bound.
    sign = -1.0 if gate.at_least is not None else 1.0
    worst = pick(large, key=lambda r: r.metrics[gate.metric] + sign * r.bounds.get(gate.metric, 0))
    where = f" of {worst.value} ({worst.rows:,} rows), the worst of {len(large)}"
    details = {**counts, "worst": worst.value, "rows": worst.rows}
    value, bound = worst.metrics[gate.metric], worst.bounds.get(gate.metric, 0.0)
    return _check_limit(config, gate.metric, value, gate, where, details, bound)


def _check_champion(
    config: dict[str, Any], gate: s.ChampionGate, comparison: ChampionComparison
) -> GateResult:
    if comparison.uri is None:
        return GateResult(config, True, None, "there is no champion to compare with", {})
    if comparison.is_candidate:
        return GateResult(config, True, 0.0, f"{comparison.uri} is the champion itself", {})
    if comparison.obstacle:
        return _replace_uncompared(config, gate, comparison, comparison.obstacle)
    rows = f"{comparison.shared_rows:,} rows{_describe_left_out(comparison)}"
    if comparison.shared_rows < gate.min_rows:
        few = f"{rows} say nothing of {gate.metric}, {gate.min_rows:,} are needed (min_rows)"
        return _replace_uncompared(config, gate, comparison, few)
    difference = (comparison.differences or {}).get(_format_comparison_key(gate))
    if difference is None:
        text = f"{gate.metric} is not defined on {rows}"
        return GateResult(config, False, None, text, {})
    direction = "better" if difference.better_by >= 0 else "worse"
    text = (
        f"{gate.metric}: {format_number(difference.candidate, 6)}, "
        f"{format_number(abs(difference.better_by), 6)} {direction} than {comparison.uri} "
        f"({format_number(difference.champion, 6)}) on {rows}; at "
        f"{format_exact(gate.confidence)} not worse by more than "
        f"{format_beside(max(0.0, -difference.low), gate.not_worse_by)}, allowed "
        f"{format_exact(gate.not_worse_by)}"
    )
    details = {**asdict(difference), **comparison_to_dict(comparison)}
    details["champion_metric"] = difference.champion
    passed = difference.low >= -gate.not_worse_by
    return GateResult(config, passed, difference.better_by, text, details)


def comparison_to_dict(comparison: ChampionComparison) -> dict[str, Any]:
    """Return what two models were compared on, as plain values."""
    return {
        "champion": comparison.uri,
        "rows": comparison.shared_rows,
        "of": comparison.candidate_rows,
        "seen": comparison.seen_rows,
        "changed_labels": comparison.changed_labels,
        "remarks": list(comparison.remarks),
    }


def _replace_uncompared(
    config: dict[str, Any], gate: s.ChampionGate, comparison: ChampionComparison, why: str
) -> GateResult:
    """Return the result of a gate without a comparison: passed only where the gate says so."""
    version = str(comparison.uri).rpartition("/")[2]
    details = comparison_to_dict(comparison)
    if str(gate.replaces) == version:
        text = f"no comparison, as `replaces: {version}` of the gate allows: {why}"
        return GateResult(config, True, None, text, details)
    text = (
        f"no comparison: {why}. To replace {comparison.uri} without one, give the gate "
        f"`replaces: {version}` and evaluate again"
    )
    return GateResult(config, False, None, text, details)


def _describe_left_out(comparison: ChampionComparison) -> str:
    """Return in words how many test rows are not compared, and why."""
    left_out = comparison.candidate_rows - comparison.shared_rows
    parts = []
    if left_out:
        parts.append(f"of {comparison.candidate_rows:,}")
        if comparison.seen_rows:
            text = f"{comparison.seen_rows:,} that one of both was trained on or chosen by"
            parts.append(f"without {text}")
    if comparison.changed_labels:
        parts.append(f"{comparison.changed_labels:,} with another label in the champion's dataset")
    parts += comparison.remarks
    return f" ({'; '.join(parts)})" if parts else ""


def _format_comparison_key(gate: s.ChampionGate) -> str:
    return f"{gate.metric} {format_exact(gate.confidence)}"


def compare_gated_metrics(
    gates: Sequence[s.Gate] | None,
    compare: Callable[[str, bool, float], Difference | None],
    kind: str,
) -> dict[str, Difference | None]:
    """Return the differences that the champion gates are checked against, each computed once.

    Args:
        gates: of the recipe; None where it says nothing of them.
        compare: from metric, whether higher is better, and confidence to the difference.
        kind: name of the label's kind.
    """
    label_kind = find_label_kind(kind)
    return {
        _format_comparison_key(gate): compare(
            gate.metric, label_kind.is_higher_better(gate.metric), gate.confidence
        )
        for gate in gates or ()
        if isinstance(gate, s.ChampionGate)
    }


def _fail_leak(item: FeatureStrength) -> GateResult:
    text = (
        f"feature {item.feature} says nearly all of the label by itself (strength "
        f"{format_number(item.strength)}, suspicious from {format_exact(item.limit)}): is it "
        "known at the moment of prediction? If it is, add it to evaluate.leakage.allow; if not, to "
        "`unavailable`"
    )
    gate = {"kind": "leakage", "feature": item.feature, "limit": item.limit}
    return GateResult(gate, False, item.strength, text, {})
