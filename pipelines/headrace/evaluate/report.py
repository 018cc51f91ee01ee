"""The report of an evaluation: one HTML page, complete in itself, no script and no network."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.leakage import Strength
from headrace.evaluate.slices import SliceResult

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1000px;color:#222;
padding:0 1rem}table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.15rem .8rem;
border-bottom:1px solid #ddd;text-align:left;vertical-align:top}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}h2{margin-top:2rem}.m{color:#666}.yes{color:#2c7a3f}.no{color:
#b3261e;font-weight:bold}tr.small{color:#888}img{max-width:100%}figure{margin:1rem 0}"""
_SHOWN_SLICES = 40
_TITLES = {
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


def report_html(
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
    strengths: Sequence[Strength],
) -> str:
    """The page.

    Args:
        title: of the page.
        facts: what was judged on what.
        verdict: as `gates.verdict` makes it.
        metrics, intervals, confidence: of the test split.
        figures: by file name.
        thresholds: rows of the threshold table; empty where the label has none.
        labels: rows of the table of labels; empty where rows have one label each.
        slices: the worst first.
        metric: by which they are ordered.
        strengths: what single features say of the label, the strongest first.
    """
    shown = "".join(f"<tr><td>{_text(k)}<td>{_text(v)}" for k, v in facts.items())
    parts = [
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{_text(title)}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{_text(title)}</h1><table>{shown}</table>",
        _gates(verdict),
        _metrics(metrics, intervals, confidence),
        *(_figure(name, figures[name]) for name in _TITLES if name in figures),
        _table("Labels, the worst F1 first", labels),
        _table("Threshold table", thresholds),
        _slices(slices, metric),
        _strengths(strengths),
        "</body></html>",
    ]
    return "".join(parts)


def _gates(verdict: Mapping[str, Any]) -> str:
    said = "<span class=yes>passed</span>" if verdict["passed"] else "<span class=no>failed</span>"
    rows = "".join(
        f"<tr><td class={'yes' if g['passed'] else 'no'}>{'passed' if g['passed'] else 'failed'}"
        f"<td>{_text(g['gate']['kind'])}<td>{_text(g['text'])}"
        for g in verdict["gates"]
    )
    table = f"<table>{rows}</table>" if rows else "<p class=m>The recipe has no gates.</p>"
    return f"<h2>Verdict: {said}</h2>{table}"


def _metrics(
    metrics: Mapping[str, float], intervals: Mapping[str, Interval], confidence: float
) -> str:
    rows = []
    for name, value in metrics.items():
        found = intervals.get(name)
        between = f"{_number(found.low)} to {_number(found.high)}" if found else ""
        rows.append(f"<tr><td>{_text(name)}<td class=n>{_number(value)}<td class=n>{between}")
    head = f"<tr><th>metric<th class=n>value<th class=n>{confidence:.0%} interval"
    note = (
        "<p class=m>Over all rows of the test split at once. Intervals by the bootstrap over rows: "
        "rows that belong together (of one day, of one customer) make them too narrow.</p>"
    )
    return f"<h2>Metrics</h2>{note}<table>{head}{''.join(rows)}</table>"


def _table(title: str, rows: Sequence[Mapping[str, float | str]]) -> str:
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th class=n>{_text(name)}" for name in names)
    body = "".join("<tr>" + "".join(_value(row.get(name, "")) for name in names) for row in rows)
    return f"<h2>{title}</h2><table><tr>{head}{body}</table>"


def _value(value: float | str) -> str:
    return f"<td>{_text(value)}" if isinstance(value, str) else f"<td class=n>{_number(value)}"


def _slices(slices: Sequence[SliceResult], metric: str) -> str:
    if not slices:
        return ""
    rows = []
    for found in slices[:_SHOWN_SLICES]:
        value, interval = found.metrics.get(metric), found.intervals.get(metric)
        between = f"{_number(interval.low)} to {_number(interval.high)}" if interval else ""
        rows.append(
            f"<tr{' class=small' if found.small else ''}><td>{_text(found.value)}"
            f"<td class=n>{found.rows:,}<td class=n>{'' if value is None else _number(value)}"
            f"<td class=n>{between}<td>{'few rows' if found.small else ''}"
        )
    left = len(slices) - _SHOWN_SLICES
    more = f"<p class=m>{left:,} more in slices.json.</p>" if left > 0 else ""
    head = f"<tr><th>slice<th class=n>rows<th class=n>{_text(metric)}<th class=n>interval<th>"
    return f"<h2>Slices, the worst first</h2><table>{head}{''.join(rows)}</table>{more}"


def _strengths(strengths: Sequence[Strength]) -> str:
    if not strengths:
        return ""
    rows = "".join(
        f"<tr><td>{_text(s.feature)}<td class=n>{s.strength:.4f}<td>{_suspicion(s)}"
        for s in strengths[:20]
    )
    note = (
        f"<p class=m>What a feature says of the label by itself, 0 to 1; suspicious from "
        f"{strengths[0].limit:g}.</p>"
    )
    return f"<h2>Single features</h2>{note}<table>{rows}</table>"


def _suspicion(found: Strength) -> str:
    if found.suspicious:
        return "<span class=no>suspicious: a copy of the label?</span>"
    return "allowed by the recipe" if found.strength >= found.limit else ""


def _figure(name: str, figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    picture = base64.b64encode(file.getvalue()).decode()
    title = _text(_TITLES[name])
    return (
        f"<h2>{title}</h2><figure><img alt='{title}' src='data:image/png;base64,{picture}'>"
        "</figure>"
    )


def _number(value: float) -> str:
    if float(value).is_integer() and abs(value) >= 2:
        return f"{value:,.0f}"
    return f"{value:.4f}" if np.isfinite(value) and abs(value) < 1000 else f"{value:,.1f}"


def _text(value: object) -> str:
    return html.escape(str(value))
