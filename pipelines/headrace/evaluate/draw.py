"""Draw the report's charts with Matplotlib, as images of the run: those of MLflow are PNG files."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.number_text import format_number, format_share
from headrace.pages.charts.bars import BarChart
from headrace.pages.charts.density import Density
from headrace.pages.charts.frame import Axis, Figure
from headrace.pages.charts.lines import LineChart
from headrace.pages.charts.matrix import Matrix
from headrace.pages.charts.rows import RowChart
from headrace.pages.colors import LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Image

_WIDTH, _HEIGHT = 5.6, 4.2
_COLUMNS = 2


def draw_image(figures: Sequence[Figure]) -> "Image":
    """Draw figures beside each other as one image.

    Args:
        figures: of charts; one or more.
    """
    from matplotlib.figure import Figure as Image

    columns = min(_COLUMNS, len(figures))
    lines = -(-len(figures) // columns)
    rows = max((len(f.chart.names) for f in figures if isinstance(f.chart, RowChart)), default=0)
    classes = max((len(f.chart.names) for f in figures if isinstance(f.chart, Matrix)), default=0)
    height = min(14.0, max(_HEIGHT, 1.6 + 0.3 * rows, 2.5 + 0.45 * classes))
    width = min(14.0, max(_WIDTH + 2 * bool(rows), 3.0 + 0.5 * classes))
    image = Image(figsize=(width * columns, height * lines), layout="constrained")
    panels = image.subplots(lines, columns, squeeze=False).reshape(-1)
    for axes, figure in zip(panels, figures, strict=False):
        _DRAW[type(figure.chart)](axes, figure.chart)
        axes.set_title(_escape_dollars(figure.title), fontsize="medium")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    for axes in panels[len(figures) :]:
        axes.axis("off")
    return image


def _draw_lines(axes: Any, chart: LineChart) -> None:
    shows_names = bool(chart.list_legend())
    for line, (_, _, dashes) in zip(
        chart.lines, chart.list_legend() or [("", "", "")], strict=False
    ):
        axes.plot(
            line.x, line.y, color=_pick(line.color), linestyle="--" if dashes else "-",
            label=_escape_dollars(line.name) if shows_names else None,
            drawstyle="steps-post" if line.is_step else "default",
            marker="o" if len(line.x) <= 30 and not line.is_step else None, markersize=4,
        )  # fmt: skip
    if chart.has_diagonal:
        low, high = max(axes.get_xlim()[0], axes.get_ylim()[0]), min(axes.get_xlim()[1], 1)
        axes.plot([low, high], [low, high], color="black", linewidth=1, linestyle="--")
    if chart.level and math.isfinite(chart.level[0]):
        axes.axhline(chart.level[0], color="black", linewidth=1, linestyle="--")
        axes.annotate(chart.level[1], (1, chart.level[0]), xycoords=("axes fraction", "data"),
                      ha="right", va="bottom", fontsize="small")  # fmt: skip
    if chart.mark and math.isfinite(chart.mark[0]):
        axes.axvline(chart.mark[0], color="black", linewidth=1, linestyle="--")
        axes.annotate(f" {chart.mark[1]}", (chart.mark[0], 1), va="top",
                      xycoords=("data", "axes fraction"), fontsize="small")  # fmt: skip
    _name_axes(axes, chart.x, chart.y)
    axes.grid(alpha=0.3)


def _draw_bars(axes: Any, chart: BarChart) -> None:
    for number, item in enumerate(chart.series):
        if chart.edges:
            widths = [b - a for a, b in zip(chart.edges, chart.edges[1:], strict=False)]
            width = [w * 0.9 / len(chart.series) for w in widths]
            starts = [edge + number * w for edge, w in zip(chart.edges[:-1], width, strict=True)]
        else:
            width = [0.8 / len(chart.series)] * len(item.values)
            starts = [position + number * w for position, w in enumerate(width)]
        axes.bar(starts, item.values, width, align="edge", color=_pick(item.color),
                 label=_escape_dollars(item.name) or None)  # fmt: skip
    if chart.names:
        names = [_escape_dollars(name[:30]) for name in chart.names]
        is_long = max(map(len, names)) > 2
        axes.set_xticks([n + 0.4 for n in range(len(names))], names)
        axes.tick_params(axis="x", rotation=90 if is_long else 0)
    _name_axes(axes, chart.x, chart.y, has_numbers=not chart.names)


def _draw_rows(axes: Any, chart: RowChart) -> None:
    height = 0.8 / max(1, len(chart.series))
    for number, item in enumerate(chart.series):
        label = _escape_dollars(item.name) or None
        for position, mark in enumerate(item.marks):
            y = position + (number - (len(chart.series) - 1) / 2) * height
            color = _pick(item.color)
            if chart.are_bars:
                axes.barh(y, mark.value, height * 0.9, color=color, label=label)
            else:
                axes.plot(mark.value, y, "o", color=color, label=label)
            if mark.low is not None and mark.high is not None:
                line = "black" if chart.are_bars else color
                axes.plot([mark.low, mark.high], [y, y], color=line, linewidth=1.5)
            label = None
    if chart.reference and math.isfinite(chart.reference[0]):
        axes.axvline(chart.reference[0], color="black", linewidth=1, linestyle="--")
    names = [_escape_dollars(name[:60]) for name in chart.names]
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    axes.set_xlabel(_escape_dollars(chart.x.name))
    if chart.x.low is not None and chart.x.high is not None:
        axes.set_xlim(chart.x.low, chart.x.high)
    axes.grid(alpha=0.3, axis="x")


def _draw_matrix(axes: Any, chart: Matrix) -> None:
    count = len(chart.names)
    shares = [[chart.find_share(row, column) for column in range(count)] for row in range(count)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(count if count <= 12 else 0):
        for column in range(count):
            share = shares[row][column]
            text = f"{_format_share(share)}\n{format_number(chart.counts[row][column], 4)}"
            axes.text(column, row, text, ha="center", va="center", fontsize="small",
                      color="white" if share > 0.6 else "black")  # fmt: skip
    names = [_escape_dollars(name[:30]) for name in chart.names]
    axes.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 8 else 0)
    axes.set_yticks(range(count), names)
    axes.set(xlabel=chart.column_axis, ylabel=chart.row_axis)


def _draw_density(axes: Any, chart: Density) -> None:
    counts = [[count or math.nan for count in row] for row in zip(*chart.counts, strict=True)]
    from matplotlib.colors import LogNorm

    drawn = axes.pcolormesh(chart.x_edges, chart.y_edges, counts, cmap="Blues", norm=LogNorm())
    axes.figure.colorbar(drawn, ax=axes, label=chart.unit)
    if chart.has_diagonal:
        ends = [chart.x_edges[0], chart.x_edges[-1]]
        axes.plot(ends, ends, color="black", linewidth=1, linestyle="--")
    _name_axes(axes, chart.x, chart.y)


def _name_axes(axes: Any, x: Axis, y: Axis, *, has_numbers: bool = True) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set(xlabel=_escape_dollars(x.name), ylabel=_escape_dollars(y.name))
    for axis, item in ((axes.xaxis, x), (axes.yaxis, y)):
        if item is x and not has_numbers:
            continue
        if item.is_share:
            axis.set_major_formatter(PercentFormatter(1.0))
        if item.is_whole:
            axis.set_major_locator(MaxNLocator(integer=True))
    if x.low is not None and x.high is not None:
        axes.set_xlim(x.low, x.high)


def _format_share(share: float) -> str:
    return "no rows" if math.isnan(share) else format_share(share)


def _pick(number: int) -> str:
    return LIGHT[number % len(LIGHT)]


def _escape_dollars(name: str) -> str:
    """Escape dollar signs, which Matplotlib would read as the ends of a formula."""
    return name.replace("$", r"\$")


_DRAW: dict[type, Any] = {
    LineChart: _draw_lines,
    BarChart: _draw_bars,
    RowChart: _draw_rows,
    Matrix: _draw_matrix,
    Density: _draw_density,
}
