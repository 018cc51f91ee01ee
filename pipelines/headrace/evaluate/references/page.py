"""Show the comparison with the references: a section of the report, and a figure."""

from headrace.evaluate.references.compare import (
    PHRASES,
    ReferenceComparison,
    format_differences,
    format_with_margin,
    list_metrics,
)
from headrace.pages.charts.frame import Axis, Figure
from headrace.pages.charts.rows import RowChart, RowMark, RowSeries
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


def plot_references(comparison: ReferenceComparison) -> list[Figure]:
    """Plot by how much the model is better than each reference; none where there is no difference.

    A figure for each metric, because units differ.
    """
    figures = []
    for metric in list_metrics(comparison)[:_SHOWN_METRICS]:
        names: list[str] = []
        marks: list[RowMark] = []
        for result in comparison.results:
            difference = result.differences.get(metric)
            if difference is not None:
                ends = difference.find_interval(comparison.confidence) or (None, None)
                names.append(PHRASES[result.name])
                marks.append(RowMark(difference.better_by, *ends))
        if names:
            chart = RowChart(
                names,
                [RowSeries("", marks, 0)],
                Axis(f"better by, {metric}"),
                reference=(0.0, "equal"),
            )
            reading = "Right of the dashed line the model is better; a line across it is no proof."
            figures.append(Figure(f"Better than the references: {metric}", chart, reading))
    return figures
