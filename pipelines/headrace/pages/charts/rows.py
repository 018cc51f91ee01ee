"""Draw a row for each name: bars, or points with their intervals, beside a reference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.pages.charts.frame import (
    Axis,
    Scale,
    cut_text,
    draw_line,
    draw_name,
    draw_svg,
    draw_text,
    draw_x_axis,
    fit_limits,
    measure_text,
)
from headrace.pages.colors import get_color
from headrace.pages.markup import Markup, close_void, element, shorten

_WIDTH, _ROW = 460, 22


@dataclass(frozen=True)
class RowMark:
    """A value of a row.

    Attributes:
        value: the number; one that is not finite is not drawn.
        low, high: the ends of its interval; None where it has none.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class RowSeries:
    """A value for each row, all of one colour."""

    name: str
    marks: Sequence[RowMark]
    color: int


@dataclass(frozen=True)
class RowChart:
    """Values of named rows, the first on top.

    Attributes:
        names: of the rows.
        series: of as many values.
        x: the axis of values.
        reference: a value at which a line stands, and its words.
        are_bars: whether bars from 0 are drawn instead of points.
    """

    names: Sequence[str]
    series: Sequence[RowSeries]
    x: Axis
    reference: tuple[float, str] | None = None
    are_bars: bool = False

    def list_legend(self) -> Sequence[tuple[str, str, str]]:
        """Return the series, where there are several."""
        if len(self.series) < 2:
            return ()
        return [(item.name, get_color(item.color), "") for item in self.series]

    def draw(self, label: str) -> Markup:
        """Return the SVG."""
        values = [
            number
            for item in self.series
            for mark in item.marks
            for number in (mark.value, mark.low, mark.high)
            if number is not None
        ]
        has_reference = self.reference is not None and math.isfinite(self.reference[0])
        include = [0.0] if self.are_bars else []
        include += [self.reference[0]] if self.reference and has_reference else []
        low, high = fit_limits(values, self.x, include)
        widest = max((measure_text(name) for name in self.names), default=0)
        left, right = min(190.0, widest + 14), _WIDTH - 16.0
        row = max(_ROW, 11 * len(self.series) + 6)
        top = 20.0 if has_reference else 6.0
        bottom = top + row * max(1, len(self.names))
        pad = 0.0 if self.are_bars else 8.0
        x = Scale(low, high, left + pad, right - pad)
        parts: list[object] = [draw_x_axis(self.x, x, top, bottom, grid=True)]
        for position, name in enumerate(self.names):
            middle = top + (position + 0.5) * row
            parts.append(draw_name(left - 8, middle + 4, name, left - 12, "end"))
            for number, item in enumerate(self.series):
                y = middle + (number - (len(self.series) - 1) / 2) * 11
                parts.append(self._draw_mark(name, item, item.marks[position], x, y))
        if self.reference and has_reference:
            at = x(self.reference[0])
            words = cut_text(self.reference[1], _WIDTH - 20)
            half = measure_text(words) / 2
            parts.append(draw_line(at, top, at, bottom, "k"))
            place = min(max(half, at), _WIDTH - half)
            parts.append(draw_text(place, 13, words, text_anchor="middle"))
        return draw_svg(parts, label, _WIDTH, bottom + 42)

    def _draw_mark(self, name: str, item: RowSeries, mark: RowMark, x: Scale, y: float) -> Markup:
        if not math.isfinite(mark.value):
            return Markup("")
        color = get_color(item.color)
        words = ", ".join([shorten(name, 160), *([item.name] if item.name else [])])
        words += f": {self.x.format(mark.value)}"
        interval = None
        if mark.low is not None and mark.high is not None:
            interval = (mark.low, mark.high) if math.isfinite(mark.high - mark.low) else None
        if interval:
            words += f" ({self.x.format(interval[0])} to {self.x.format(interval[1])})"
        title = element("title", words)
        shapes: list[Markup] = []
        if self.are_bars:
            begin, end = sorted((x(0.0), x(mark.value)))
            shapes.append(
                element("rect", title, x=f"{begin:.1f}", y=f"{y - 4.5:.1f}",
                        width=f"{max(0.5, end - begin):.1f}", height=9, style=f"fill:{color}")
            )  # fmt: skip
        if interval:
            low, high = x(interval[0]), x(interval[1])
            class_ = "k0" if self.are_bars else "l"
            stroke = "var(--ink)" if self.are_bars else color
            shapes.append(
                close_void("line", x1=f"{low:.1f}", x2=f"{high:.1f}", y1=f"{y:.1f}",
                           y2=f"{y:.1f}", class_=class_, style=f"stroke:{stroke}")
            )  # fmt: skip
        if not self.are_bars:
            shapes.append(
                element("circle", title, cx=f"{x(mark.value):.1f}", cy=f"{y:.1f}", r=4,
                        style=f"fill:{color}")
            )  # fmt: skip
        return Markup("".join(shapes))
