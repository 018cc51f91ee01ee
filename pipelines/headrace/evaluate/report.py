"""Render the report of an evaluation: one page in the design of `headrace.pages`."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.evaluate.bootstrap import Interval
from headrace.evaluate.headline import Headline, describe_direction
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.references.compare import ReferenceComparison
from headrace.evaluate.references.page import show_references
from headrace.evaluate.slices import SliceResult
from headrace.evaluate.worst_rows import WorstRows
from headrace.number_text import format_exact, format_number, format_share
from headrace.pages.charts.frame import Figure, Figures
from headrace.pages.page import Element, Page, Section
from headrace.pages.table import Cell, Column, Table, format_signed
from headrace.pages.tiles import Alert, Alerts, Tile, Tiles

_SECTIONS = {  # of figures: title by the file name of their image, in the order of the page
    "confusion_matrix.png": "Confusion matrix",
    "predictions_and_residuals.png": "Predictions and residuals",
    "roc_and_pr.png": "ROC and precision-recall",
    "calibration.png": "Calibration",
    "thresholds.png": "Threshold",
    "predictions_by_split.png": "Predictions by split",
    "learning_curves.png": "Learning curves",
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
    figures: Mapping[str, Sequence[Figure]],
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
    headlines: Sequence[Headline] = (),
    worst: WorstRows | None = None,
) -> str:
    """Render the page.

    Args:
        title: of the page.
        facts: name -> value; which model was evaluated on which dataset.
        verdict: of `gates.build_verdict`.
        metrics, intervals, confidence: of the test split.
        figures: of each image of the run, by its file name.
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
        headlines: what stands at the top.
        worst: rows that the model is most wrong about.
    """
    of_labels, of_slices, of_references = (
        Figures(figures[name]) if name in figures else None
        for name in ("labels.png", "slices.png", "references.png")
    )
    sections = (
        Section("Headline", [_show_headlines(headlines, confidence)]),
        _show_gates(verdict),
        Section(
            "References", [of_references, *show_references(references or ReferenceComparison())]
        ),
        *(
            Section(title, [Figures(figures[name])])
            for name, title in _SECTIONS.items()
            if name in figures
        ),
        Section(
            "Labels, the worst F1 first",
            [of_labels, _show_table(labels, _READ_LABELS)],
            short="Labels",
        ),
        _show_slices(slices, metric, notes, of_slices),
        Section("Worst rows", [_show_worst(worst or WorstRows())]),
        Section("Single features", [_show_strengths(strengths)]),
        Section("Threshold table", [_show_table(thresholds, _READ_THRESHOLDS)]),
        _show_metrics(metrics, intervals, confidence, weighted, bounds or {}, remarks),
    )
    return Page(title, sections, facts, "Evaluation report").render()


_READ_LABELS = "Each label by itself: of how many rows it is, and how well it is found."
_READ_THRESHOLDS = (
    "From which probability on a row is predicted to be positive, and what that costs: a higher "
    "threshold raises precision and lowers recall."
)


def _show_headlines(headlines: Sequence[Headline], confidence: float) -> Tiles | None:
    if not headlines:
        return None
    tiles = []
    for item in headlines:
        lines = [describe_direction(item)] if item.direction else []
        if item.interval:
            low, high = (format_signed(end, 4) for end in item.interval)
            lines.append(f"{format_share(confidence)} interval {low} to {high}")
        lines += [f"{name}: {format_signed(v, 4)}" for name, v in item.baselines.items()]
        tiles.append(Tile(item.name, format_signed(item.value, 4), lines))
    reading = (
        "What the model reaches on rows that it has not seen, with the interval within which "
        "another draw of such rows would likely leave it, and what simple answers reach."
    )
    return Tiles(tiles, reading)


def _show_worst(worst: WorstRows) -> Table | None:
    if not worst.positions:
        return None
    names = list(worst.columns or {})
    cells = [(worst.columns or {})[name] for name in names]
    rows = [
        (
            worst.truths[n],
            worst.predictions[n],
            worst.losses[n],
            *("missing" if column[n] is None else column[n] for column in cells),
        )
        for n in range(len(worst.positions))
    ]
    columns = [
        Column("truth"),
        Column("prediction"),
        Column("loss", is_number=True, digits=4),
        *(Column(name) for name in names),
    ]
    reading = (
        "The test rows that the model is most wrong about: a look at them finds wrong labels, "
        "broken values, and what no feature tells. The loss is the one of training (of numbers the "
        "absolute error), without weights."
    )
    return Table(columns, rows, reading, raw_columns=("", "", "", *names))


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
    return Section("All metrics", [table, *notes])


def _show_table(rows: Sequence[Mapping[str, float | str]], reading: str) -> Table | None:
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [Column(n, not any(isinstance(row.get(n), str) for row in rows)) for n in names]
    return Table(columns, [[row.get(name) for name in names] for row in rows], reading)


def _show_slices(
    slices: Sequence[SliceResult], metric: str, notes: Sequence[str], figures: Figures | None
) -> Section:
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
    parts: list[Element | str | None] = [figures, table, *(f"{note}." for note in notes)]
    return Section("Slices, the worst first", parts, short="Slices")


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


def _format_interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{format_signed(interval.low)} to {format_signed(interval.high)}"
