"""The report is one HTML page with everything in it, and nothing of it is markup of users."""

from html.parser import HTMLParser
from typing import Any

import pytest
from matplotlib.figure import Figure

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.report import render_report
from headrace.evaluate.slices import SliceResult


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


class Cells(HTMLParser):
    """The texts of a page, and the tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_metrics_have_their_intervals() -> None:
    texts = Cells(render()).texts
    start = texts.index("95% interval")
    assert texts[start + 1 :] == ["rows", "29,496", "roc_auc", "0.75", "0.7 to 0.8"]


@pytest.mark.parametrize(("passed", "word"), [(True, "passed"), (False, "failed")])
def test_the_verdict_stands_over_its_gates(passed: bool, word: str) -> None:
    gate = {"gate": {"kind": "metric"}, "passed": passed, "text": "roc_auc: 0.75, at least 0.7"}
    texts = Cells(render(verdict={"passed": passed, "gates": [gate]})).texts
    start = texts.index("Verdict: ")
    assert texts[start + 1 : start + 5] == [word, word, "metric", "roc_auc: 0.75, at least 0.7"]


def test_passed_is_not_said_where_there_was_no_gate() -> None:
    texts = Cells(render(verdict={"passed": None, "gates": []})).texts
    assert texts[texts.index("Verdict: ") + 1] == "none"
    assert "No gates (evaluate.gates is []): nothing was judged." in texts


def test_notes_say_how_to_read_the_numbers() -> None:
    page = render(strengths=[FeatureStrength("honest", 0.5, 0.95)])
    assert "where rows belong together (of one day, of one customer) they are too narrow" in page
    assert "How well a feature alone predicts the label, 0 to 1; suspicious from 0.95." in page


def test_sections_without_rows_are_left_out() -> None:
    page = render()
    for title in ("Slices", "Single features", "Threshold table", "Labels", "<img"):
        assert title not in page


def test_tables_have_the_columns_of_all_rows() -> None:
    labels = [{"label": "fog", "f1": 0.5}, {"label": "rain", "f1": 1.0, "roc_auc": 0.9}]
    texts = Cells(render(labels=labels)).texts
    start = texts.index("Labels, the worst F1 first")
    assert texts[start + 1 : start + 9] == [
        "label", "f1", "roc_auc", "fog", "0.5", "rain", "1", "0.9"
    ]  # fmt: skip


def test_slices_beyond_the_first_are_counted() -> None:
    slices = [
        SliceResult(("c",), f"c={n}", 1000 + n, n == 0, {"roc_auc": 0.5}, {}) for n in range(42)
    ]
    page = render(slices=slices)
    assert "2 more in slices.json" in page
    assert page.count("few rows") == 1
    assert "c=39" in page
    assert "c=40" not in page


def test_strong_features_are_suspicious_or_allowed() -> None:
    strengths = [
        FeatureStrength("copy", 0.99, 0.95),
        FeatureStrength("known", 0.97, 0.95, is_allowed=True),
        FeatureStrength("honest", 0.5, 0.95),
    ]
    texts = Cells(render(strengths=strengths)).texts
    assert texts[texts.index("copy") :] == [
        "copy", "0.99", "suspicious: a copy of the label?",
        "known", "0.97", "allowed by the recipe",
        "honest", "0.5",
    ]  # fmt: skip


def test_figures_are_embedded_in_the_order_of_the_page() -> None:
    page = render(figures={"slices.png": Figure(), "calibration.png": Figure()})
    assert page.count("src='data:image/png;base64,iVBOR") == 2
    assert page.index("<h2>Calibration</h2>") < page.index("<h2>Worst slices</h2>")


def test_texts_of_users_are_no_markup_and_the_page_needs_no_network() -> None:
    evil = "<script>alert('x')</script>&"
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
    cells = Cells(page)
    assert "script" not in cells.tags
    assert cells.texts.count(evil) == 12
    assert "http" not in page
