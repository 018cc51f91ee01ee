"""Gates that pass and gates that fail, with the text that says why."""

import json
from dataclasses import replace

import pytest

from headrace.evaluate.bootstrap import Difference
from headrace.evaluate.gates import (
    DISPLAY_SETTINGS,
    ChampionComparison,
    GateInputs,
    GateResult,
    build_verdict,
    check_gates,
    compare_gated_metrics,
    criteria_to_dict,
    find_other_criteria,
)
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.slices import SliceResult
from headrace.recipe import sections as s

METRIC = {"kind": "metric", "metric": "roc_auc"}
SLICE = {"kind": "slice", "metric": "roc_auc", "columns": ["c"]}
CHAMPION = {"kind": "champion", "metric": "roc_auc", "not_worse_by": 0.002}


def make_slice(value: str, area: float | None, rows: int = 500) -> SliceResult:
    metrics = {} if area is None else {"roc_auc": area}
    return SliceResult(("c",), value, rows, rows < 100, metrics)


def check_gate(settings: dict, **changed: object) -> GateResult:
    gates = s.Evaluate.model_validate({"gates": [settings]}).gates
    inputs = {
        "metrics": {"roc_auc": 0.75, "log_loss": 0.5},
        "slices": [],
        "comparison": ChampionComparison(),
        "model_bytes": 2_000_000,
        "measure_latency": lambda rows: [1.0] * 95 + [9.0] * 5,
        "label_kind": "binary",
    }
    (result,) = check_gates(gates, GateInputs(**{**inputs, **changed}), [])
    return result


@pytest.mark.parametrize(
    ("settings", "passed", "text"),
    [
        ({**METRIC, "at_least": 0.75}, True, "roc_auc: 0.75, at least 0.75"),
        ({**METRIC, "at_least": 0.7501}, False, "roc_auc: 0.75, at least 0.7501"),
        ({**METRIC, "metric": "log_loss", "at_most": 0.5}, True, "log_loss: 0.5, at most 0.5"),
        ({**METRIC, "metric": "log_loss", "at_most": 0.4}, False, "log_loss: 0.5, at most 0.4"),
        ({**METRIC, "metric": "pr_auc", "at_least": 0.1}, False, "pr_auc is not defined"),
        ({"kind": "size", "at_most_megabytes": 2.0}, True, "2 MB"),
        ({"kind": "size", "at_most_megabytes": 1.9}, False, "2 MB, at most 1.9"),
        ({"kind": "latency", "at_most_milliseconds": 1.5, "percentile": 90.0}, True, "1 ms"),
        ({"kind": "latency", "at_most_milliseconds": 5.0, "percentile": 99.0}, False, "9 ms"),
    ],
)
def test_limits(settings: dict, passed: bool, text: str) -> None:
    result = check_gate(settings)
    assert result.passed is passed
    assert text in result.text


@pytest.mark.parametrize(
    ("settings", "passed", "text"),
    [
        ({"at_least": 0.749}, True, "roc_auc: 0.75 within ± 0.001, at least 0.749"),
        ({"at_least": 0.7495}, False, "0.7495: the bound does not tell on which side it is; raise"),
        ({"at_least": 0.7505}, False, "0.7505: the bound does not tell on which side it is; raise"),
        ({"at_least": 0.7511}, False, "roc_auc: 0.75 within ± 0.001, at least 0.7511"),
        ({"at_most": 0.7511}, True, "roc_auc: 0.75 within ± 0.001, at most 0.7511"),
        ({"at_most": 0.7505}, False, "0.7505: the bound does not tell on which side it is; raise"),
        ({"at_most": 0.7}, False, "roc_auc: 0.75 within ± 0.001, at most 0.7"),
    ],
)
def test_a_metric_has_to_keep_a_limit_with_all_that_it_may_be(
    settings: dict, passed: bool, text: str
) -> None:
    result = check_gate({**METRIC, **settings}, bounds={"roc_auc": 0.001})
    assert result.passed is passed
    assert text in result.text
    assert result.text.endswith(text) or "raise" in text
    assert result.details == {"bound": 0.001}


def test_the_worst_slice_is_the_one_that_may_be_the_worst() -> None:
    slices = [
        make_slice("c=known", 0.7),
        replace(make_slice("c=bounded", 0.705), bounds={"roc_auc": 0.01}),
    ]
    result = check_gate({**SLICE, "at_least": 0.7}, slices=slices)
    assert not result.passed
    assert result.text.startswith("roc_auc of c=bounded (500 rows), the worst of 2: 0.705 within ±")


def test_the_worst_slice_decides_and_small_ones_do_not() -> None:
    slices = [
        make_slice("c=good", 0.8),
        make_slice("c=bad", 0.6),
        make_slice("c=tiny", 0.1, rows=9),
    ]
    result = check_gate({**SLICE, "at_least": 0.65}, slices=slices)
    assert not result.passed
    assert result.text == "roc_auc of c=bad (500 rows), the worst of 2: 0.6, at least 0.65"
    assert result.details == {"slices": 2, "too_small": 1, "worst": "c=bad", "rows": 500}
    assert check_gate({**SLICE, "at_least": 0.6}, slices=slices).passed


def test_slices_that_are_small_or_undefined_do_not_pass() -> None:
    assert (
        "no slice"
        in check_gate({**SLICE, "at_least": 0.1}, slices=[make_slice("c=1", 0.9, 9)]).text
    )
    result = check_gate(
        {**SLICE, "at_least": 0.1}, slices=[make_slice("c=1", 0.9), make_slice("c=2", None)]
    )
    assert not result.passed
    assert result.text == "roc_auc of c=2 (500 rows) is not defined on these rows"


def compare_with_champion(better_by: float, low: float) -> ChampionComparison:
    difference = Difference(0.75, 0.75 - better_by, better_by, low, 0.5, 200)
    gates = s.Evaluate.model_validate({"gates": [CHAMPION]}).gates
    differences = compare_gated_metrics(
        gates, lambda metric, higher, confidence: difference, "binary"
    )
    return ChampionComparison(
        "models:/m/1", shared_rows=900, candidate_rows=1000, differences=differences
    )


@pytest.mark.parametrize(
    ("comparison", "passed", "text"),
    [
        (ChampionComparison(), True, "no champion to compare with"),
        (ChampionComparison("models:/m/2", is_candidate=True), True, "is the champion itself"),
        (
            ChampionComparison("models:/m/1", obstacle="its dataset is gone"),
            False,
            "its dataset is gone",
        ),
        (
            compare_with_champion(0.01, 0.005),
            True,
            "0.01 better than models:/m/1 (0.74) on 900 rows",
        ),
        (compare_with_champion(-0.001, -0.002), True, "0.001 worse than models:/m/1"),
        (
            compare_with_champion(0.001, -0.0021),
            False,
            "not worse by more than 0.0021, allowed 0.002",
        ),
    ],
)
def test_a_comparison_with_the_champion(
    comparison: ChampionComparison, passed: bool, text: str
) -> None:
    result = check_gate(CHAMPION, comparison=comparison)
    assert result.passed is passed
    assert text in result.text


def test_better_by_so_much_is_a_negative_margin() -> None:
    settings = {**CHAMPION, "not_worse_by": -0.004}
    gates = s.Evaluate.model_validate({"gates": [settings]}).gates
    for low, passed in ((0.005, True), (0.003, False)):
        difference = Difference(0.75, 0.74, 0.01, low, 0.0, 200)
        differences = compare_gated_metrics(gates, lambda *_, d=difference: d, "binary")
        comparison = ChampionComparison("models:/m/1", shared_rows=30, differences=differences)
        assert check_gate(settings, comparison=comparison).passed is passed


@pytest.mark.parametrize(("rows", "passed"), [(4, False), (29, False), (30, True)])
def test_few_rows_say_nothing(rows: int, passed: bool) -> None:
    difference = Difference(0.75, 0.7, 0.05, 0.05, 0.0, 200)
    gates = s.Evaluate.model_validate({"gates": [CHAMPION]}).gates
    differences = compare_gated_metrics(gates, lambda *_: difference, "binary")
    comparison = ChampionComparison(
        "models:/m/1", shared_rows=rows, candidate_rows=90, seen_rows=60, differences=differences
    )
    result = check_gate(CHAMPION, comparison=comparison)
    assert result.passed is passed
    left_out = f"{rows} rows (of 90; without 60 that one of both was trained on or chosen by"
    assert left_out in result.text
    if not passed:
        assert "say nothing of roc_auc, 30 are needed (min_rows)" in result.text
        assert "give the gate `replaces: 1`" in result.text
        assert result.details["rows"] == rows


@pytest.mark.parametrize(("version", "passed"), [(1, True), (2, False), (None, False)])
def test_the_champion_that_a_gate_names_is_replaced_without_a_comparison(
    version: int | None, passed: bool
) -> None:
    gate = {**CHAMPION, "replaces": version}
    obstacle = "they predict different labels"
    result = check_gate(gate, comparison=ChampionComparison("models:/m/1", obstacle=obstacle))
    assert (result.passed, result.value) == (passed, None)
    assert obstacle in result.text and "no comparison" in result.text
    worse = compare_with_champion(-0.1, -0.2)
    assert not check_gate(gate, comparison=worse).passed  # it can be compared


def test_a_suspicious_feature_fails_the_verdict() -> None:
    inputs = GateInputs({}, [], ChampionComparison(), 0, lambda rows: [], "binary")
    strong = [
        FeatureStrength("leak", 0.99, 0.95),
        FeatureStrength("known", 0.98, 0.95, is_allowed=True),
    ]
    results = check_gates([], inputs, [*strong, FeatureStrength("fine", 0.5, 0.95)])
    assert [g.gate["feature"] for g in results] == ["leak"]
    verdict = build_verdict(results, model="models:/m/1")
    assert verdict["passed"] is False
    assert "evaluate.leakage.allow" in verdict["gates"][0]["text"]
    assert build_verdict([], model="m")["passed"] is None, "nothing was judged"


def test_a_size_that_the_model_does_not_say_fails() -> None:
    result = check_gate({"kind": "size", "at_most_megabytes": 2.0}, model_bytes=None)
    assert (result.passed, result.value) == (False, None)
    assert "train again" in result.text


def test_a_verdict_is_plain_values_with_every_gate() -> None:
    results = [check_gate({**METRIC, "at_least": limit}) for limit in (0.7, 0.8)]
    verdict = build_verdict(results, model="models:/m/1", asked={})
    assert json.loads(json.dumps(verdict)) == verdict
    assert (verdict["passed"], verdict["model"]) == (False, "models:/m/1")
    assert verdict["gates"][0] == {
        "gate": {"kind": "metric", "metric": "roc_auc", "at_least": 0.7},
        "passed": True,
        "value": 0.75,
        "text": "roc_auc: 0.75, at least 0.7",
        "details": {},
    }


def test_a_verdict_is_worth_nothing_to_other_criteria() -> None:
    settings = s.Evaluate.model_validate({"gates": [{**METRIC, "at_least": 0.7}]})
    criteria = json.loads(json.dumps(criteria_to_dict(settings)))
    assert find_other_criteria(settings, criteria) == []
    stricter = s.Evaluate.model_validate({"gates": [{**METRIC, "at_least": 0.8}]})
    assert find_other_criteria(stricter, criteria) == ["evaluate.gates.0.at_least: 0.7 and 0.8"]
    (text,) = find_other_criteria(settings, {"gates": [{"kind": "astrology"}]})
    assert "unknown now" in text


OTHER_VALUES: dict[str, object] = {
    "threshold": 0.3,
    "metric": "log_loss",
    "weighted": True,
    "bootstrap": 7,
    "confidence": 0.9,
    "seed": 1,
    "slices": [{"columns": ["c"]}],
    "ranking": {"columns": ["c"]},
    "min_rows": 7,
    "importance_rows": 0,
    "leakage": {"limit": 0.5},
    "references": ["constant"],
    "reference_rows": 77,
    "exact_rows": 77,
    "max_slices": 77,
    "worst_rows": 7,
    "gates": [CHAMPION],
}


@pytest.mark.parametrize("name", list(s.Evaluate.model_fields))
def test_every_setting_is_a_criterion_or_declared_not_to_be_one(name: str) -> None:
    settings = s.Evaluate.model_validate({"gates": [{**METRIC, "at_least": 0.7}]})
    criteria = json.loads(json.dumps(criteria_to_dict(settings)))
    values = {**settings.model_dump(mode="json"), name: OTHER_VALUES[name]}
    differences = find_other_criteria(s.Evaluate.model_validate(values), criteria)
    if name in DISPLAY_SETTINGS:
        assert differences == []
    else:
        assert differences
        assert all(text.startswith(f"evaluate.{name}") for text in differences)
        assert all(": " in text and " and " in text for text in differences)


@pytest.mark.parametrize("name", [n for n in s.ChampionGate.model_fields if n != "kind"])
def test_every_key_of_a_gate_is_a_criterion(name: str) -> None:
    others = {"metric": "log_loss", "not_worse_by": 0.5, "confidence": 0.9, "min_rows": 9}
    settings = s.Evaluate.model_validate({"gates": [CHAMPION]})
    other = s.Evaluate.model_validate(
        {"gates": [{**CHAMPION, name: {**others, "replaces": 3}[name]}]}
    )
    (text,) = find_other_criteria(other, criteria_to_dict(settings))
    assert text.startswith(f"evaluate.gates.0.{name}: ")


def test_criteria_of_older_verdicts_have_the_defaults_of_newer_keys() -> None:
    settings = s.Evaluate.model_validate({"gates": [CHAMPION], "seed": 4})
    assert find_other_criteria(settings, {"gates": [CHAMPION]}) == []


def test_each_metric_is_compared_once() -> None:
    gates = [CHAMPION, {**CHAMPION, "not_worse_by": 0.0}, {**CHAMPION, "metric": "log_loss"}]
    calls = []

    def compare(metric: str, higher: bool, confidence: float) -> None:
        calls.append((metric, higher, confidence))

    settings = s.Evaluate.model_validate({"gates": gates})
    differences = compare_gated_metrics(settings.gates, compare, "binary")
    assert differences == {"roc_auc 0.95": None, "log_loss 0.95": None}
    assert set(calls) == {("roc_auc", True, 0.95), ("log_loss", False, 0.95)}
