"""Show the comparison with the references: a section of the report, and a figure."""

from matplotlib.figure import Figure

from headrace.evaluate.references.compare import (
    PHRASES,
    ReferenceComparison,
    format_differences,
    format_with_margin,
    list_metrics,
)
from headrace.pages.table import Cell, Column, Table

_SHOWN_METRICS = 3


def show_references(comparison: ReferenceComparison) -> list[Table | str]:
    """Return the parts of the report's section; none where there is nothing to say."""
    if not comparison.results and not comparison.left_out:
        return []
    sentences = [(m, format_differences(comparison, m)) for m in list_metrics(comparison)]
    parts: list[Table | str] = [f"{metric}: {words}." for metric, words in sentences if words]
    if rows := _list_rows(comparison):
        reading = (
            f"Simple answers on the same {comparison.rows:,} rows, drawn together; ± is half of "
            f"the {100 * comparison.confidence:g}% interval. Above 0 the model is better."
        )
        columns = [
            Column("reference"),
            Column("metric"),
            Column("model", is_number=True, digits=6),
            Column("reference's", is_number=True, digits=6),
            Column("better by", is_number=True),
            Column("what it is"),
        ]
        parts.append(Table(columns, rows, reading))
    parts += [f"{PHRASES[name]} is left out: {why}." for name, why in comparison.left_out.items()]
    return parts + [f"{note}." for note in comparison.notes]


def _list_rows(comparison: ReferenceComparison) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for result in comparison.results:
        for metric, difference in result.differences.items():
            if difference is None:
                continue
            ends = difference.find_interval(comparison.confidence)
            sign = "−" if difference.better_by < 0 else ""
            shown = f"{sign}{format_with_margin(abs(difference.better_by), ends)}"
            better = Cell(shown, difference.better_by)
            model, reference = difference.model, difference.reference
            rows.append((result.name, metric, model, reference, better, result.about))
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
