"""Check gates against references: the constant, the trees, the recipe's `label.baseline`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.evaluate.bootstrap import PairedDifference
from headrace.evaluate.gate_result import GateResult
from headrace.evaluate.references.compare import PHRASES, ReferenceComparison
from headrace.number_text import format_exact, format_number
from headrace.recipe import sections as s

_MIN_ROWS = 10  # fewer may all be right by chance, and every draw of them is right then, too


def check_baseline(gate: s.BaselineGate, comparison: ReferenceComparison) -> GateResult:
    """Check that a model is so much better than a reference, or not so much worse.

    Judged by the lower end of the one-sided interval of the difference. Without any draws
    (`evaluate.bootstrap: 0`, which only default gates meet) the difference alone decides.
    """
    config = gate.model_dump(mode="json", exclude_none=True)
    name = PHRASES[gate.against]
    result = comparison.find_result(gate.against)
    if result is None:
        reason = comparison.left_out.get(gate.against, "evaluate.references does not name it")
        return GateResult(config, False, None, f"no comparison with {name}: {reason}", {})
    difference = result.differences.get(gate.metric)
    if difference is None:
        text = f"{gate.metric} is not defined of the model and {name} on these rows"
        return GateResult(config, False, None, text, {})
    better_by, rows = difference.better_by, comparison.rows
    way = "better" if better_by >= 0 else "worse"
    text = (
        f"{gate.metric}: {format_number(difference.model, 6)}, "
        f"{format_number(abs(better_by), 6)} {way} than {name} "
        f"({format_number(difference.reference, 6)}) on {rows:,} rows"
    )
    low = difference.find_lower_end(gate.confidence)
    details = {"reference": difference.reference, "low": low, "rows": rows, "about": result.about}
    if rows < _MIN_ROWS:
        text += f"; fewer than {_MIN_ROWS} rows say nothing"
        return GateResult(config, False, better_by, text, details)
    bound, words = _describe_bound(gate, difference, low)
    passed = bound > gate.better_by if gate.not_worse_by is None else bound >= -gate.not_worse_by
    text += f"; {words}, {_describe_limit(gate)}"
    if not passed and _meets_limit(gate, better_by):
        text += ": these rows are too few to tell"
    elif not passed and comparison.hint:
        text += f" ({comparison.hint})"
    return GateResult(config, passed, better_by, text, details)


def _describe_bound(
    gate: s.BaselineGate, difference: PairedDifference, low: float | None
) -> tuple[float, str]:
    """Return the number that decides, and words for it."""
    if low is None:
        return difference.better_by, "without an interval"
    bound, confidence = format_number(abs(low), 6), format_exact(gate.confidence)
    if gate.confidence < 0.5:
        other = format_exact(round(1 - gate.confidence, 12))  # 1 - 0.05 is 0.9500000000000001
        way = f"better by {bound} at most" if low >= 0 else f"worse by {bound} at least"
        return low, f"at {other} {way}"
    if low >= 0:
        return low, f"at {confidence} better by {bound} at least"
    return low, f"at {confidence} not worse by more than {bound}"


def _describe_limit(gate: s.BaselineGate) -> str:
    if gate.not_worse_by is None:
        return f"wanted: better by more than {format_exact(gate.better_by)}"
    return f"allowed: worse by {format_exact(gate.not_worse_by)}"


def _meets_limit(gate: s.BaselineGate, better_by: float) -> bool:
    if gate.not_worse_by is None:
        return better_by > gate.better_by
    return better_by >= -gate.not_worse_by


def check_finite(metrics: Mapping[str, float]) -> GateResult:
    """Check that every metric is a finite number; predictions that are not have none at all."""
    undefined = [name for name, value in metrics.items() if not np.isfinite(value)]
    text = "all predictions and metrics are finite"
    if undefined:
        text = f"{', '.join(undefined)} {'is' if len(undefined) == 1 else 'are'} not finite"
    config: dict[str, Any] = {"kind": "finite"}
    return GateResult(config, not undefined, float(len(undefined)), text, {})
