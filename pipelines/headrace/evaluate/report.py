"""Render the report of an evaluation: one self-contained HTML page, without scripts or network."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.references.compare import ReferenceComparison
from headrace.evaluate.references.page import render_references
from headrace.evaluate.slices import SliceResult
from headrace.number_text import format_exact, format_number, format_share

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1000px;color:#222;
padding:0 1rem}table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.15rem .8rem;
border-bottom:1px solid #ddd;text-align:left;vertical-align:top}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}h2{margin-top:2rem}.m{color:#666}.yes{color:#2c7a3f}.no{color:
#b3261e;font-weight:bold}tr.small{color:#888}img{max-width:100%}figure{margin:1rem 0}"""
_SHOWN_SLICES = 40
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
    fact_rows = "".join(f"<tr><td>{_escape_text(k)}<td>{_escape_text(v)}" for k, v in facts.items())
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        f"<title>{_escape_text(title)}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{_escape_text(title)}</h1>",
        f"<table>{fact_rows}</table>",
        _render_gates(verdict),
        render_references(references or ReferenceComparison()),
        _render_metrics(metrics, intervals, confidence, weighted, bounds or {}, remarks),
        *(_render_figure(name, figures[name]) for name in _TITLES if name in figures),
        _render_table("Labels, the worst F1 first", labels),
        _render_table("Threshold table", thresholds),
        _render_slices(slices, metric, notes),
        _render_strengths(strengths),
        "</body></html>",
    ]
    return "".join(parts)


def _render_gates(verdict: Mapping[str, Any]) -> str:
    decision = {
        True: "<span class=yes>passed",
        False: "<span class=no>failed",
        None: "<span class=m>none",
    }[verdict["passed"]]
    rows = "".join(
        f"<tr><td class={'yes' if g['passed'] else 'no'}>{'passed' if g['passed'] else 'failed'}"
        f"<td>{_escape_text(g['gate']['kind'])}<td>{_escape_text(g['text'])}"
        for g in verdict["gates"]
    )
    none = "<p class=m>No gates (evaluate.gates is []): nothing was judged.</p>"
    table = f"<table>{rows}</table>" if rows else none
    return f"<h2>Verdict: {decision}</span></h2>{table}"


def _render_metrics(
    metrics: Mapping[str, float],
    intervals: Mapping[str, Interval],
    confidence: float,
    weighted: bool,
    bounds: Mapping[str, float],
    remarks: Sequence[str],
) -> str:
    rows = []
    for name, value in metrics.items():
        interval = _format_interval(intervals.get(name))
        bound = f" ± {format_number(bounds[name], 2)}" if name in bounds else ""
        rows.append(
            f"<tr><td>{_escape_text(name)}<td class=n>{format_number(value)}{bound}"
            f"<td class=n>{interval}"
        )
    head = f"<tr><th>metric<th class=n>value<th class=n>{format_share(confidence)} interval"
    note = (
        "<p class=m>Computed over all rows of the test split at once. Intervals are bootstrapped "
        "over rows; where rows belong together (of one day, of one customer) they are too narrow."
        "</p>"
    )
    note += "".join(f"<p class=m>{_escape_text(remark)}.</p>" for remark in remarks)
    if weighted:
        note += (
            "<p class=m>Rows have their sample weight in all figures and tables, as in the choice "
            "of the threshold. Each counts once in numbers of rows, learning curves and the "
            "strength of single features.</p>"
        )
    return f"<h2>Metrics</h2>{note}<table>{head}{''.join(rows)}</table>"


def _render_table(title: str, rows: Sequence[Mapping[str, float | str]]) -> str:
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th class=n>{_escape_text(name)}" for name in names)
    body = "".join(
        "<tr>" + "".join(_render_cell(row.get(name, "")) for name in names) for row in rows
    )
    return f"<h2>{title}</h2><table><tr>{head}{body}</table>"


def _render_cell(value: float | str) -> str:
    if isinstance(value, str):
        return f"<td>{_escape_text(value)}"
    return f"<td class=n>{format_number(value)}"


def _render_slices(slices: Sequence[SliceResult], metric: str, notes: Sequence[str]) -> str:
    if not slices:
        return ""
    rows = []
    for result in slices[:_SHOWN_SLICES]:
        value = result.metrics.get(metric)
        interval = _format_interval(result.intervals.get(metric))
        rows.append(
            f"<tr{' class=small' if result.is_small else ''}><td>{_escape_text(result.value)}"
            f"<td class=n>{result.rows:,}"
            f"<td class=n>{'' if value is None else format_number(value)}"
            f"<td class=n>{interval}<td>{'few rows' if result.is_small else ''}"
        )
    left = len(slices) - _SHOWN_SLICES
    more = f"<p class=m>{left:,} more in slices.json.</p>" if left > 0 else ""
    head = (
        f"<tr><th>slice<th class=n>rows<th class=n>{_escape_text(metric)}<th class=n>interval<th>"
    )
    remarks = "".join(f"<p class=m>{_escape_text(note)}.</p>" for note in notes)
    return f"<h2>Slices, the worst first</h2>{remarks}<table>{head}{''.join(rows)}</table>{more}"


def _render_strengths(strengths: Sequence[FeatureStrength]) -> str:
    if not strengths:
        return ""
    rows = "".join(
        f"<tr><td>{_escape_text(s.feature)}<td class=n>{format_number(s.strength)}"
        f"<td>{_render_suspicion(s)}"
        for s in strengths[:20]
    )
    note = (
        f"<p class=m>How well a feature alone predicts the label, 0 to 1; suspicious from "
        f"{format_exact(strengths[0].limit)}.</p>"
    )
    return f"<h2>Single features</h2>{note}<table>{rows}</table>"


def _render_suspicion(item: FeatureStrength) -> str:
    if item.is_suspicious:
        return "<span class=no>suspicious: a copy of the label?</span>"
    return "allowed by the recipe" if item.strength >= item.limit else ""


def _render_figure(name: str, figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    image = base64.b64encode(file.getvalue()).decode()
    title = _escape_text(_TITLES[name])
    return (
        f"<h2>{title}</h2><figure><img alt='{title}' src='data:image/png;base64,{image}'></figure>"
    )


def _format_interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{format_number(interval.low)} to {format_number(interval.high)}"


def _escape_text(value: object) -> str:
    return html.escape(str(value))
