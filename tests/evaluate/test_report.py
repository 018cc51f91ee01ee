"""The report is one HTML page with everything in it, and nothing of it is markup of users."""

from typing import Any

import pytest
from matplotlib.figure import Figure

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.report import render_report
from headrace.evaluate.slices import SliceResult
from tests.pages.reading import EVIL, check_page


def render(**changed: Any) -> str:
    parts: dict[str, Any] = {
        "title": "tiny: models:/tiny/1",
        "facts": {"model": "models:/tiny/1"},
        "verdict": {"passed": True, "gates": []},
        "metrics": {"rows": 29_496.0, "roc_auc": 0.75},
        "intervals": {"roc_auc": Interval(0.75, 0.7, 0.8)},
        "confidence": 0.95,
        "figures": {},
        "thresholds": [],
        "labels": [],
        "slices": [],
        "metric": "roc_auc",
        "strengths": [],
    }
    return render_report(**{**parts, **changed})


def test_metrics_have_their_intervals() -> None:
    text = check_page(render()).text
    assert "95% interval rows 29,496 roc_auc 0.75 0.7 to 0.8" in text


@pytest.mark.parametrize(("passed", "word"), [(True, "passed"), (False, "failed")])
def test_the_verdict_stands_over_its_gates(passed: bool, word: str) -> None:
    gate = {"gate": {"kind": "metric"}, "passed": passed, "text": "roc_auc: 0.75, at least 0.7"}
    text = check_page(render(verdict={"passed": passed, "gates": [gate]})).text
    assert text.index(f"Verdict: {word}") < text.index(f"{word} : metric: roc_auc: 0.75, at least")


def test_passed_is_not_said_where_there_was_no_gate() -> None:
    texts = check_page(render(verdict={"passed": None, "gates": []})).texts
    assert "Verdict: none" in texts
    assert "No gates (evaluate.gates is []): nothing was judged." in texts


def test_notes_say_how_to_read_the_numbers() -> None:
    page = render(strengths=[FeatureStrength("honest", 0.5, 0.95)])
    assert "where rows belong together (of one day, of one customer) they are too narrow" in page
    assert "How well a feature alone predicts the label, 0 to 1; suspicious from 0.95." in page


def test_sections_without_rows_are_left_out() -> None:
    page = render()
    for title in ("Slices", "Single features", "Threshold table", "Labels", "<img "):
        assert title not in page


def test_tables_have_the_columns_of_all_rows() -> None:
    labels = [{"label": "fog", "f1": 0.5}, {"label": "rain", "f1": 1.0, "roc_auc": 0.9}]
    text = check_page(render(labels=labels)).text
    assert "label f1 roc_auc fog 0.5 rain 1 0.9" in text


def test_slices_beyond_the_first_are_counted() -> None:
    slices = [
        SliceResult(("c",), f"c={n}", 1000 + n, n == 0, {"roc_auc": 0.5}, {}) for n in range(202)
    ]
    page = render(slices=slices)
    assert "2 more rows are not on this page: they are in slices.json." in page
    assert page.count(">few rows<") == 1
    assert "c=199" in page
    assert "c=200" not in page


def test_strong_features_are_suspicious_or_allowed() -> None:
    strengths = [
        FeatureStrength("copy", 0.99, 0.95),
        FeatureStrength("known", 0.97, 0.95, is_allowed=True),
        FeatureStrength("honest", 0.5, 0.95),
    ]
    text = check_page(render(strengths=strengths)).text
    assert (
        "copy 0.99 suspicious: a copy of the label? known 0.97 allowed by the recipe honest 0.5"
    ) in text


def test_figures_are_embedded_in_the_order_of_the_page() -> None:
    page = render(figures={"slices.png": Figure(), "calibration.png": Figure()})
    assert page.count('src="data:image/png;base64,iVBOR') == 2
    assert page.index("<h3>Calibration</h3>") < page.index("<h3>Worst slices</h3>")


def test_texts_of_users_are_no_markup_and_the_page_needs_no_network() -> None:
    evil = EVIL
    gate = {"gate": {"kind": evil}, "passed": True, "text": evil}
    page = render(
        title=evil,
        facts={evil: evil},
        verdict={"passed": True, "gates": [gate]},
        metrics={evil: 0.5},
        labels=[{"label": evil, evil: 0.5}],
        slices=[SliceResult(("c",), evil, 9, False, {evil: 0.5}, {})],
        metric=evil,
        strengths=[FeatureStrength(evil, 0.5, 0.95)],
    )
    texts = check_page(page).texts
    assert sum(evil in text for text in texts) >= 11
