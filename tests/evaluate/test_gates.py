"""What passes a gate, what does not, and what is said of it."""

import pytest

from headrace.evaluate.bootstrap import Difference
from headrace.evaluate.gates import Champion, Gated, Judged, compared, judge_gates, verdict
from headrace.evaluate.leakage import Strength
from headrace.evaluate.slices import SliceResult
from headrace.recipe import sections as s

METRIC = {"kind": "metric", "metric": "roc_auc"}
SLICE = {"kind": "slice", "metric": "roc_auc", "columns": ["c"]}
CHAMPION = {"kind": "champion", "metric": "roc_auc", "not_worse_by": 0.002}


def part(value: str, area: float | None, rows: int = 500) -> SliceResult:
    metrics = {} if area is None else {"roc_auc": area}
    return SliceResult(("c",), value, rows, rows < 100, metrics)


def gate(settings: dict, **judged: object) -> Gated:
    found = s.Evaluate.model_validate({"gates": [settings]}).gates
    known = {
        "metrics": {"roc_auc": 0.75, "log_loss": 0.5},
        "slices": [],
        "champion": Champion(),
        "model_bytes": 2_000_000,
        "latency": lambda rows: [1.0] * 95 + [9.0] * 5,
        "label_kind": "binary",
    }
    (gated,) = judge_gates(found, Judged(**{**known, **judged}), [])
    return gated


@pytest.mark.parametrize(
    ("settings", "passed", "text"),
    [
        ({**METRIC, "at_least": 0.75}, True, "roc_auc: 0.75, at least 0.75"),
        ({**METRIC, "at_least": 0.7501}, False, "roc_auc: 0.75, at least 0.7501"),
        ({**METRIC, "metric": "log_loss", "at_most": 0.5}, True, "log_loss: 0.5, at most 0.5"),
        ({**METRIC, "metric": "log_loss", "at_most": 0.4}, False, "log_loss: 0.5, at most 0.4"),
        ({**METRIC, "metric": "pr_auc", "at_least": 0.1}, False, "pr_auc is not defined"),
        ({"kind": "size", "at_most_megabytes": 2.0}, True, "2.00 MB"),
        ({"kind": "size", "at_most_megabytes": 1.9}, False, "2.00 MB, at most 1.9"),
        ({"kind": "latency", "at_most_milliseconds": 1.5, "percentile": 90.0}, True, "1.00 ms"),
        ({"kind": "latency", "at_most_milliseconds": 5.0, "percentile": 99.0}, False, "9.00 ms"),
    ],
)
def test_limits(settings: dict, passed: bool, text: str) -> None:
    gated = gate(settings)
    assert gated.passed is passed
    assert text in gated.text


def test_the_worst_slice_decides_and_small_ones_do_not() -> None:
    slices = [part("c=good", 0.8), part("c=bad", 0.6), part("c=tiny", 0.1, rows=9)]
    gated = gate({**SLICE, "at_least": 0.65}, slices=slices)
    assert not gated.passed
    assert gated.text == "roc_auc of c=bad (500 rows), the worst of 2: 0.6, at least 0.65"
    assert gated.details == {"slices": 2, "too_small": 1, "worst": "c=bad", "rows": 500}
    assert gate({**SLICE, "at_least": 0.6}, slices=slices).passed


def test_slices_that_say_nothing_do_not_pass() -> None:
    assert "no slice" in gate({**SLICE, "at_least": 0.1}, slices=[part("c=1", 0.9, 9)]).text
    gated = gate({**SLICE, "at_least": 0.1}, slices=[part("c=1", 0.9), part("c=2", None)])
    assert not gated.passed
    assert gated.text == "roc_auc of c=2 (500 rows) is not defined on these rows"


def beside(better_by: float, low: float) -> Champion:
    found = Difference(0.75, 0.75 - better_by, better_by, low, 0.5, 200)
    gates = s.Evaluate.model_validate({"gates": [CHAMPION]}).gates
    differences = compared(gates, lambda metric, higher, confidence: found, "binary")
    return Champion("models:/m/1", rows=900, of=1000, differences=differences)


@pytest.mark.parametrize(
    ("champion", "passed", "text"),
    [
        (Champion(), True, "no champion to compare with"),
        (Champion("models:/m/2", same=True), True, "is the champion itself"),
        (Champion("models:/m/1", why_not="its dataset is gone"), False, "its dataset is gone"),
        (beside(0.01, 0.005), True, "0.01 better than models:/m/1 (0.74) on 900 rows"),
        (beside(-0.001, -0.002), True, "0.001 worse than models:/m/1"),
        (beside(0.001, -0.0021), False, "not worse by more than 0.0021, allowed 0.002"),
    ],
)
def test_the_champion(champion: Champion, passed: bool, text: str) -> None:
    gated = gate(CHAMPION, champion=champion)
    assert gated.passed is passed
    assert text in gated.text


def test_better_by_so_much_is_a_negative_margin() -> None:
    settings = {**CHAMPION, "not_worse_by": -0.004}
    gates = s.Evaluate.model_validate({"gates": [settings]}).gates
    for low, passed in ((0.005, True), (0.003, False)):
        found = Difference(0.75, 0.74, 0.01, low, 0.0, 200)
        differences = compared(gates, lambda *_, f=found: f, "binary")
        champion = Champion("models:/m/1", differences=differences)
        assert gate(settings, champion=champion).passed is passed


def test_a_suspicious_feature_fails_the_verdict() -> None:
    judged = Judged({}, [], Champion(), 0, lambda rows: [], "binary")
    strong = [Strength("leak", 0.99, 0.95), Strength("known", 0.98, 0.95, allowed=True)]
    gates = judge_gates([], judged, [*strong, Strength("fine", 0.5, 0.95)])
    assert [g.gate["feature"] for g in gates] == ["leak"]
    decided = verdict(gates, model="models:/m/1")
    assert decided["passed"] is False
    assert "evaluate.leakage.allow" in decided["gates"][0]["text"]
    assert verdict([], model="m")["passed"] is True
