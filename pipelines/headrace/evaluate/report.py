"""Render the report of an evaluation: one page in the design of `headrace.pages`."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.references.compare import ReferenceComparison
from headrace.evaluate.references.page import show_references
from headrace.evaluate.slices import SliceResult
from headrace.number_text import format_exact, format_number, format_share
from headrace.pages.image import Image
from headrace.pages.page import Page, Section
from headrace.pages.table import Cell, Column, Table, format_signed
from headrace.pages.tiles import Alert, Alerts

_TITLES = {
    "references.png": "Better than the references",
    "learning_curves.png": "Learning curves",
    "confusion_matrix.png": "Confusion matrix",
    "roc_and_pr.png": "ROC and precision-recall",
    "calibration.png": "Calibration",
    "predictions_and_residuals.png": "Predictions and residuals",
    "predictions_by_split.png": "Predictions by split",
    "labels.png": "Labels",
    "thresholds.png": "Threshold",
    "slices.png": "Worst slices",
    "importance.png": "Importance of features",
}


def render_report(
    *,
    title: str,
    facts: Mapping[str, object],
    verdict: Mapping[str, Any],
    metrics: Mapping[str, float],
    intervals: Mapping[str, Interval],
    confidence: float,
    figures: Mapping[str, Figure],
    thresholds: Sequence[Mapping[str, float]],
    labels: Sequence[Mapping[str, float | str]],
    slices: Sequence[SliceResult],
    metric: str,
    strengths: Sequence[FeatureStrength],
    weighted: bool = False,
    notes: Sequence[str] = (),
    references: ReferenceComparison | None = None,
    bounds: Mapping[str, float] | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """Render the page.

    Args:
        title: of the page.
        facts: name -> value; which model was evaluated on which dataset.
        verdict: of `gates.build_verdict`.
        metrics, intervals, confidence: of the test split.
        figures: by file name.
        thresholds: rows of the threshold table; empty where the label has none.
        labels: rows of the table of labels; empty where rows have one label each.
        slices: the worst first.
        metric: by which slices are ordered.
        strengths: of single features, the strongest first.
        weighted: whether rows weigh as they do in training.
        notes: what a reader has to know about slices.
        references: comparison with them.
        bounds: by how much exact metrics may differ, of those that do.
        remarks: what a reader has to know about metrics and figures.
    """
    sections = (
        _show_gates(verdict),
        Section("References", show_references(references or ReferenceComparison())),
        _show_metrics(metrics, intervals, confidence, weighted, bounds or {}, remarks),
        Section("Figures", [_show_figure(n, figures[n]) for n in _TITLES if n in figures]),
        Section("Labels, the worst F1 first", [_show_table(labels, _READ_LABELS)], short="Labels"),
        Section("Threshold table", [_show_table(thresholds, _READ_THRESHOLDS)]),
        _show_slices(slices, metric, notes),
        Section("Single features", [_show_strengths(strengths)]),
    )
    return Page(title, sections, facts, "Evaluation report").render()


_READ_LABELS = "Each label by itself: of how many rows it is, and how well it is found."
_READ_THRESHOLDS = (
    "From which probability on a row is predicted to be positive, and what that costs: a higher "
    "threshold raises precision and lowers recall."
)


def _show_gates(verdict: Mapping[str, Any]) -> Section:
    decision = {True: "passed", False: "failed", None: "none"}[verdict["passed"]]
    alerts = [
        Alert(
            "ok" if gate["passed"] else "error",
            f"{gate['gate']['kind']}: {gate['text']}",
            "passed" if gate["passed"] else "failed",
        )
        for gate in verdict["gates"]
    ]
    part = Alerts(
        alerts,
        "Each line is a gate that the model had to pass, with the number that decided it; what "
        "failed stands first.",
        "No gates (evaluate.gates is []): nothing was judged.",
    )
    return Section(f"Verdict: {decision}", [part], short="Verdict")


def _show_metrics(
    metrics: Mapping[str, float],
    intervals: Mapping[str, Interval],
    confidence: float,
    weighted: bool,
    bounds: Mapping[str, float],
    remarks: Sequence[str],
) -> Section:
    rows = []
    for name, value in metrics.items():
        bound = f" ± {format_number(bounds[name], 2)}" if name in bounds else ""
        shown = Cell(f"{format_signed(value)}{bound}", value)
        rows.append((name, shown, _format_interval(intervals.get(name))))
    columns = [
        Column("metric"),
        Column("value", is_number=True),
        Column(f"{format_share(confidence)} interval"),
    ]
    table = Table(
        columns,
        rows,
        "Computed over all rows of the test split at once. Intervals are bootstrapped over rows; "
        "where rows belong together (of one day, of one customer) they are too narrow.",
    )
    weights = (
        "Rows have their sample weight in all figures and tables, as in the choice of the "
        "threshold. Each counts once in numbers of rows, learning curves and the strength of "
        "single features."
    )
    notes = [f"{remark}." for remark in remarks] + [weights] * weighted
    return Section("Metrics", [table, *notes])


def _show_table(rows: Sequence[Mapping[str, float | str]], reading: str) -> Table | None:
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [Column(n, not any(isinstance(row.get(n), str) for row in rows)) for n in names]
    return Table(columns, [[row.get(name) for name in names] for row in rows], reading)


def _show_slices(slices: Sequence[SliceResult], metric: str, notes: Sequence[str]) -> Section:
    if not slices:
        return Section("Slices", [])
    rows = [
        (
            result.value,
            result.rows,
            result.metrics.get(metric),
            _format_interval(result.intervals.get(metric)),
            "few rows" if result.is_small else "",
        )
        for result in slices
    ]
    columns = [Column("slice"), Column("rows", is_number=True, digits=15),
               Column(metric, is_number=True), Column("interval"), Column("remark")]  # fmt: skip
    small = frozenset(n for n, result in enumerate(slices) if result.is_small)
    reading = (
        f"Rows with one value each, the worst {metric} first; slices with few rows, whose numbers "
        "say little, are at the end."
    )
    table = Table(columns, rows, reading, left_out="slices.json", dim=small)
    return Section("Slices, the worst first", [table, *(f"{n}." for n in notes)], short="Slices")


def _show_strengths(strengths: Sequence[FeatureStrength]) -> Table | None:
    if not strengths:
        return None
    rows = [(s.feature, s.strength, _show_suspicion(s)) for s in strengths]
    reading = (
        f"How well a feature alone predicts the label, 0 to 1; suspicious from "
        f"{format_exact(strengths[0].limit)}."
    )
    columns = [Column("feature"), Column("strength", is_number=True), Column("remark")]
    return Table(columns, rows, reading, most=50, left_out="verdict.json")


def _show_suspicion(item: FeatureStrength) -> Cell | str:
    if item.is_suspicious:
        return Cell("suspicious: a copy of the label?", tone="error")
    return "allowed by the recipe" if item.strength >= item.limit else ""


def _show_figure(name: str, figure: Figure) -> Image:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return Image(_TITLES[name], file.getvalue(), "Its axes say what is shown.")


def _format_interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{format_signed(interval.low)} to {format_signed(interval.high)}"
