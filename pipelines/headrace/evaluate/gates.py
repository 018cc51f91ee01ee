"""Whether a model may be promoted: every gate with the number that decided it.

A verdict is plain values, so that it is read by people, schedulers and `headrace promote` alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from headrace.evaluate.bootstrap import Difference
from headrace.evaluate.leakage import Strength
from headrace.evaluate.slices import SliceResult
from headrace.formats import VERDICT
from headrace.recipe import sections as s
from headrace.recipe.metric_names import DIRECTIONS


@dataclass(frozen=True)
class Gated:
    """A gate and what came of it.

    Attributes:
        gate: as the recipe has it.
        passed: whether it did.
        value: what was compared; None where there was nothing to compare.
        text: for people.
        details: further numbers.
    """

    gate: dict[str, Any]
    passed: bool
    value: float | None
    text: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Champion:
    """What a candidate is compared with.

    Attributes:
        uri: of the model version; None where there is no champion yet.
        same: whether it is the candidate itself.
        rows: of the candidate's test rows, those that the champion could predict as well.
        of: all of the candidate's test rows.
        differences: by metric; None where it is not defined.
        why_not: why there is nothing to compare, else empty.
    """

    uri: str | None = None
    same: bool = False
    rows: int = 0
    of: int = 0
    differences: Mapping[str, Difference | None] | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Judged:
    """All that gates look at.

    Attributes:
        metrics: of the test split.
        slices: of all declared slices.
        champion: the comparison.
        model_bytes: of the model's files; None where it does not say.
        latency: milliseconds of predictions by rows of a request.
        label_kind: says which way is better.
    """

    metrics: Mapping[str, float]
    slices: Sequence[SliceResult]
    champion: Champion
    model_bytes: int | None
    latency: Callable[[int], Sequence[float]]
    label_kind: str


def judge_gates(
    gates: Sequence[s.Gate], judged: Judged, strengths: Sequence[Strength]
) -> list[Gated]:
    """Every gate of the recipe, and the one that no recipe needs to name: suspicious features."""
    found = [_judge(gate, judged) for gate in gates]
    return [*found, *(_leak(item) for item in strengths if item.suspicious)]


def asked_of(settings: s.Evaluate) -> dict[str, Any]:
    """What a verdict answers: it is worth nothing to those who ask for more."""
    return {
        "gates": [gate.model_dump(mode="json") for gate in settings.gates],
        "leakage": settings.leakage.model_dump(mode="json"),
    }


def is_asked(settings: s.Evaluate, asked: Mapping[str, Any]) -> bool:
    """Whether a verdict answers what the recipe asks.

    Args:
        settings: of the recipe.
        asked: what `asked_of` gave then; keys that are newer than the verdict had their default.
    """
    try:
        then = s.Evaluate.model_validate(dict(asked))
    except ValidationError:
        return False
    return asked_of(then) == asked_of(settings)


def verdict(passed: Sequence[Gated], **facts: Any) -> dict[str, Any]:
    """The decision as plain values.

    Args:
        passed: every gate.
        facts: of the model, the dataset and the champion.
    """
    return {
        VERDICT.key: VERDICT.current,
        "passed": all(gate.passed for gate in passed),
        **facts,
        "gates": [asdict(gate) for gate in passed],
    }


def _judge(gate: s.Gate, judged: Judged) -> Gated:
    config = gate.model_dump(mode="json", exclude_none=True)
    if isinstance(gate, s.MetricGate):
        return _limit(config, gate.metric, judged.metrics.get(gate.metric), gate, "")
    if isinstance(gate, s.SliceGate):
        return _slices(config, gate, judged)
    if isinstance(gate, s.ChampionGate):
        return _champion(config, gate, judged.champion)
    if isinstance(gate, s.LatencyGate):
        import numpy as np

        times = judged.latency(gate.rows)
        value = float(np.percentile(times, gate.percentile))
        what = f"{gate.percentile:g}th percentile of {len(times)} predictions of {gate.rows} rows"
        text = f"{what}: {value:.2f} ms, at most {gate.at_most_milliseconds:g}"
        return Gated(config, value <= gate.at_most_milliseconds, value, text, {"times": len(times)})
    if judged.model_bytes is None:
        text = "the model does not say how large it is; train again"
        return Gated(config, False, None, text, {})
    size = judged.model_bytes / 1e6
    text = f"model files: {size:.2f} MB, at most {gate.at_most_megabytes:g}"
    return Gated(config, size <= gate.at_most_megabytes, size, text, {})


def _limit(
    config: dict[str, Any],
    metric: str,
    value: float | None,
    gate: "s.MetricGate | s.SliceGate",
    where: str,
    details: dict[str, Any] | None = None,
) -> Gated:
    if value is None:
        text = f"{metric}{where} is not defined on these rows"
        return Gated(config, False, None, text, details or {})
    if gate.at_least is not None:
        passed, words = value >= gate.at_least, f"at least {gate.at_least:g}"
    else:
        assert gate.at_most is not None
        passed, words = value <= gate.at_most, f"at most {gate.at_most:g}"
    return Gated(config, passed, value, f"{metric}{where}: {value:.6g}, {words}", details or {})


def _slices(config: dict[str, Any], gate: s.SliceGate, judged: Judged) -> Gated:
    own = [r for r in judged.slices if list(r.columns) == gate.columns]
    large = [r for r in own if not r.small]
    counted = {"slices": len(large), "too_small": len(own) - len(large)}
    if not large:
        text = f"no slice by {', '.join(gate.columns)} has enough rows"
        return Gated(config, False, None, text, counted)
    undefined = [r for r in large if gate.metric not in r.metrics]
    if undefined:
        where = f" of {undefined[0].value} ({undefined[0].rows:,} rows)"
        return _limit(config, gate.metric, None, gate, where, counted)
    pick = min if gate.at_least is not None else max
    worst = pick(large, key=lambda r: r.metrics[gate.metric])
    where = f" of {worst.value} ({worst.rows:,} rows), the worst of {len(large)}"
    details = {**counted, "worst": worst.value, "rows": worst.rows}
    return _limit(config, gate.metric, worst.metrics[gate.metric], gate, where, details)


def _champion(config: dict[str, Any], gate: s.ChampionGate, champion: Champion) -> Gated:
    if champion.uri is None:
        return Gated(config, True, None, "there is no champion to compare with", {})
    if champion.same:
        return Gated(config, True, 0.0, f"{champion.uri} is the champion itself", {})
    if champion.why_not:
        return Gated(config, False, None, f"no comparison: {champion.why_not}", {})
    found = (champion.differences or {}).get(_key(gate))
    if found is None:
        return Gated(config, False, None, f"{gate.metric} is not defined on these rows", {})
    shown = "better" if found.better_by >= 0 else "worse"
    text = (
        f"{gate.metric}: {found.candidate:.6g}, {abs(found.better_by):.6g} {shown} than "
        f"{champion.uri} ({found.champion:.6g}) on {champion.rows:,} rows; at {gate.confidence:g} "
        f"not worse by more than {max(0.0, -found.low):.6g}, allowed {gate.not_worse_by:g}"
    )
    details = {**asdict(found), "rows": champion.rows, "of": champion.of, "champion": champion.uri}
    details["champion_metric"] = found.champion
    return Gated(config, found.low >= -gate.not_worse_by, found.better_by, text, details)


def _key(gate: s.ChampionGate) -> str:
    return f"{gate.metric} {gate.confidence:g}"


def compared(
    gates: Sequence[s.Gate], compare: Callable[[str, bool, float], Difference | None], kind: str
) -> dict[str, Difference | None]:
    """What the champion gates ask for, each once.

    Args:
        gates: of the recipe.
        compare: by metric, whether higher is better, and confidence.
        kind: of the label.
    """
    return {
        _key(gate): compare(gate.metric, DIRECTIONS[kind][gate.metric] == "higher", gate.confidence)
        for gate in gates
        if isinstance(gate, s.ChampionGate)
    }


def _leak(item: Strength) -> Gated:
    text = (
        f"feature {item.feature} says nearly all of the label by itself (strength "
        f"{item.strength:.4f}, suspicious from {item.limit:g}): is it known at the moment of "
        "prediction? If it is, add it to evaluate.leakage.allow; if not, to `unavailable`"
    )
    gate = {"kind": "leakage", "feature": item.feature, "limit": item.limit}
    return Gated(gate, False, item.strength, text, {})
