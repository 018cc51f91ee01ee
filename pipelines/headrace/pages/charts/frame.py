"""Draw what charts have in common: scales, ticks, axes with names, legends and the frame."""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.number_text import format_number, format_share
from headrace.pages.markup import Markup, close_void, element, join, shorten
from headrace.pages.table import format_signed

WIDTH, HEIGHT = 440, 260
_RIGHT = 12  # room at the right of every chart
_LETTER = 7.2  # width of a letter at 12 px, on the safe side of usual sans-serif fonts


@dataclass(frozen=True)
class Axis:
    """An axis: its name with the unit, and how its numbers are shown.

    Attributes:
        name: what is measured, and its unit in parentheses where there is one.
        is_share: whether values are shares, shown as percentages.
        low, high: the limits; those of the values by default.
    """

    name: str
    is_share: bool = False
    low: float | None = None
    high: float | None = None

    def format(self, value: float, digits: int = 4) -> str:
        """Return a value as text."""
        return format_share(value) if self.is_share else format_signed(value, digits)


@dataclass(frozen=True)
class Scale:
    """A linear map from values to positions, in pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value; of one beyond the limits, that of the limit."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


class Chart(Protocol):
    """What a figure shows."""

    def draw(self, label: str) -> Markup:
        """Return the SVG; `label` is read aloud."""

    def list_legend(self) -> Sequence[tuple[str, str, str]]:
        """Return name, colour and dashes of what is told apart; empty where nothing is."""


@dataclass(frozen=True)
class Figure:
    """A chart with its title and a sentence on how to read it.

    Attributes:
        title: of the figure.
        chart: what it shows.
        reading: one sentence that says how to read it.
        note: what is not shown, and similar; empty where nothing has to be said.
    """

    title: str
    chart: Chart
    reading: str
    note: str = ""

    def render(self, name: str = "") -> Markup:
        """Return the figure as HTML."""
        entries = [
            element("li", _draw_swatch(color, dashes), shorten(text, 60))
            for text, color, dashes in self.chart.list_legend()
        ]
        return element(
            "figure",
            element("h3", shorten(self.title)),
            element("ul", *entries, class_="legend") if entries else "",
            self.chart.draw(f"{self.title}. {self.reading}"),
            element("figcaption", self.reading, " " if self.note else "", self.note),
        )


@dataclass(frozen=True)
class Figures:
    """Figures beside each other where there is room."""

    figures: Sequence[Figure]

    def render(self, name: str = "") -> Markup:
        """Return the figures as HTML."""
        return element("div", *(f.render(name) for f in self.figures), class_="figures")


def fit_limits(
    values: Iterable[float], axis: Axis, include: Sequence[float] = ()
) -> tuple[float, float]:
    """Return the limits of an axis: its own, else those of the finite values.

    Args:
        values: that are shown.
        axis: whose limits, where given, are kept.
        include: values that must be within, for example 0 for bars.
    """
    finite = [float(v) for v in (*values, *include) if math.isfinite(v)]
    low = min(finite, default=0.0) if axis.low is None else axis.low
    high = max(finite, default=1.0) if axis.high is None else axis.high
    if not high > low:
        room = abs(low) * 0.1 or 1.0
        low, high = (low - (axis.low is None) * room, low + room)
    if not math.isfinite(high - low):  # of float64's own range
        low, high = low / 4, high / 4
    return low, high


def choose_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round values within limits: 1, 2 or 5 times a power of ten apart, at most so many."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    if not span > 1e-300:  # of numbers that float64 has no thousandth of
        return [low, high]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next((f * power for f in (1, 2, 5, 10) if span / (f * power) <= most), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if last - first > 2 * most:  # rounding at the end of float64's range
        return [low, high]
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def measure_text(text: str) -> float:
    """Return about how wide a text is, in pixels at 12 px."""
    if text.isascii():
        return len(text) * _LETTER
    return sum(
        0
        if unicodedata.combining(c)
        else 13
        if unicodedata.east_asian_width(c) in "WF"
        else _LETTER
        for c in text
    )


def cut_text(text: str, width: float) -> str:
    """Return a text that fits into a width, with `…` where it was cut."""
    if measure_text(text) <= width:
        return text
    cut = text[: max(1, int(width / _LETTER))]
    while len(cut) > 1 and measure_text(cut) + _LETTER > width:
        cut = cut[:-1]
    return f"{cut}…"


def draw_text(x: float, y: float, text: str, **attributes: Any) -> Markup:
    """Return text at a position, in full as its title where it was cut."""
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", **attributes)


def draw_name(x: float, y: float, text: str, width: float, anchor: str = "start") -> Markup:
    """Return a name from data, cut to a width, with the whole in its title."""
    cut = cut_text(text, width)
    title = element("title", shorten(text, 200)) if cut != text else ""
    shown = None if anchor == "start" else anchor
    return element("text", title, cut, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=shown)


def draw_line(x1: float, y1: float, x2: float, y2: float, class_: str, **attributes: Any) -> Markup:
    """Return a straight line."""
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    shown = {name: f"{value:.1f}" for name, value in ends.items()}
    return close_void("line", **shown, class_=class_, **attributes)


def draw_x_axis(
    axis: Axis, scale: Scale, top: float, bottom: float, *, grid: bool = False, most: int = 5
) -> Markup:
    """Return the axis at the bottom, with ticks and its name."""
    parts: list[object] = []
    for value, text in _name_ticks(axis, scale, most):
        x = scale(value)
        if grid:
            parts.append(draw_line(x, top, x, bottom, "g"))
        half = measure_text(text) / 2
        center = min(max(x, half), scale.end + _RIGHT - half)
        parts.append(draw_text(center, bottom + 16, text, class_="q", text_anchor="middle"))
    middle = (scale.start + scale.end) / 2
    name = cut_text(axis.name, 2 * min(middle, scale.end - scale.start))
    parts.append(draw_line(scale.start, bottom, scale.end, bottom, "x"))
    parts.append(draw_text(middle, bottom + 34, name, text_anchor="middle"))
    return join(parts)


def draw_y_axis(axis: Axis, scale: Scale, left: float, right: float, most: int = 5) -> Markup:
    """Return the axis at the left with its grid; its name stands above it."""
    parts: list[object] = []
    for value, text in _name_ticks(axis, scale, most):
        y = scale(value)
        parts.append(draw_line(left, y, right, y, "g"))
        parts.append(draw_text(left - 6, y + 4, text, class_="q", text_anchor="end"))
    parts.append(draw_text(2, 12, cut_text(axis.name, right - 4)))
    return join(parts)


def find_left(axis: Axis, low: float, high: float, most: int = 5) -> float:
    """Return how much room the numbers of the axis at the left need."""
    texts = [text for _, text in _name_ticks(axis, Scale(low, high, 0, 1), most)]
    return max(30.0, min(120.0, 14 + max(map(measure_text, texts), default=0)))


def draw_svg(parts: Iterable[object], label: str, width: float, height: float) -> Markup:
    """Return the SVG of a chart: an image with a name, as large as the page lets it be."""
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        aria_label=shorten(label, 300),
    )


def write_path(points: Iterable[tuple[float, float]]) -> str:
    """Return the path through points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def close_cells(cells: Sequence[tuple[float, float, float, float]], style: str) -> Markup:
    """Return many cells of one colour as one path.

    Args:
        cells: left, top, width and height of each.
        style: of the path.
    """
    path = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in cells)
    return close_void("path", d=path, style=style)


def list_finite(*columns: Sequence[float]) -> list[tuple[float, ...]]:
    """Return the rows whose values are all finite."""
    return [row for row in zip(*columns, strict=True) if all(map(math.isfinite, row))]


def _name_ticks(axis: Axis, scale: Scale, most: int) -> list[tuple[float, str]]:
    values = choose_ticks(scale.low, scale.high, most)
    for digits in range(3, 12):
        texts = [
            format_share(v) if axis.is_share else format_number(v, digits).replace("-", "−", 1)
            for v in values
        ]
        if len(set(texts)) == len(texts):
            break
    return list(zip(values, texts, strict=True))


def _draw_swatch(color: str, dashes: str) -> Markup:
    stroke = dashes or None
    line = close_void(
        "line",
        x1=1,
        y1=6,
        x2=25,
        y2=6,
        style=f"stroke:{color}",
        stroke_width=4 if not dashes else 2.5,
        stroke_dasharray=stroke,
    )
    return element("svg", line, width=26, height=12, aria_hidden="true", viewBox="0 0 26 12")
