"""Show the comparison with the references: a section of the report, and a figure."""

import html
from collections.abc import Sequence

from matplotlib.figure import Figure

from headrace.evaluate.references.compare import (
    PHRASES,
    ReferenceComparison,
    format_differences,
    format_with_margin,
    list_metrics,
)
from headrace.number_text import format_number

_SHOWN_METRICS = 3


def render_references(comparison: ReferenceComparison) -> str:
    """Return the section of the report as HTML; empty where there is nothing to say."""
    if not comparison.results and not comparison.left_out:
        return ""
    sentences = [(m, format_differences(comparison, m)) for m in list_metrics(comparison)]
    lines = "".join(
        f"<p>{html.escape(metric)}: {html.escape(words)}." for metric, words in sentences if words
    )
    rows = "".join(_render_rows(comparison))
    table = (
        f"<table><tr><th>reference<th>metric<th class=n>model<th class=n>reference"
        f"<th class=n>better by<th>what it is{rows}</table>"
        if rows
        else ""
    )
    notes = "".join(
        f"<p class=m>{html.escape(text)}."
        for text in (
            *(f"{PHRASES[name]} is left out: {why}" for name, why in comparison.left_out.items()),
            *comparison.notes,
        )
    )
    about = (
        f"<p class=m>The same {comparison.rows:,} rows, drawn together; ± is half of the "
        f"{100 * comparison.confidence:g}% interval. Above 0 the model is better."
    )
    return f"<h2>References</h2>{lines}{about}{table}{notes}"


def _render_rows(comparison: ReferenceComparison) -> Sequence[str]:
    rows = []
    for result in comparison.results:
        for metric, difference in result.differences.items():
            if difference is None:
                continue
            ends = difference.find_interval(comparison.confidence)
            sign = "−" if difference.better_by < 0 else ""
            shown = f"{sign}{format_with_margin(abs(difference.better_by), ends)}"
            rows.append(
                f"<tr><td>{html.escape(result.name)}<td>{html.escape(metric)}"
                f"<td class=n>{format_number(difference.model, 6)}"
                f"<td class=n>{format_number(difference.reference, 6)}"
                f"<td class=n>{shown}<td>{html.escape(result.about)}"
            )
    return rows


def plot_references(comparison: ReferenceComparison) -> Figure | None:
    """Plot by how much the model is better than each reference; None where there is no difference.

    A panel for each metric, because units differ.
    """
    panels = []
    for metric in list_metrics(comparison)[:_SHOWN_METRICS]:
        points = [
            (result.name, difference)
            for result in comparison.results
            if (difference := result.differences.get(metric)) is not None
        ]
        if points:
            panels.append((metric, points))
    if not panels:
        return None
    height = 1.2 + 0.4 * len(comparison.results)
    figure = Figure(figsize=(4.5 * len(panels), height), layout="constrained")
    for axes, (metric, points) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for position, (_, difference) in enumerate(points):
            ends = difference.find_interval(comparison.confidence)
            axes.plot(difference.better_by, position, "o", color="#3b6ea5")
            if ends:
                axes.plot(ends, (position, position), color="#3b6ea5")
        axes.axvline(0, color="black", linewidth=1)
        axes.set(
            yticks=range(len(points)),
            yticklabels=[name for name, _ in points],
            ylim=(len(points) - 0.5, -0.5),
            xlabel=f"better by, {metric}",
        )
        axes.grid(axis="x", alpha=0.3)
    return figure
