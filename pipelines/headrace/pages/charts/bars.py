"""Draw bars over bins or names, one of each series beside the other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.pages.charts.frame import (
    Axis,
    Scale,
    cut_text,
    draw_line,
    draw_svg,
    draw_text,
    draw_x_axis,
    draw_y_axis,
    find_left,
    fit_limits,
    measure_text,
)
from headrace.pages.colors import get_color
from headrace.pages.markup import Markup, close_void, element, shorten

_WIDTH, _HEIGHT = 440, 230
_NAMES_HEIGHT = 84  # of slanted names below the bars


@dataclass(frozen=True)
class Series:
    """The bars of one colour: a height for each bin or name."""

    name: str
    values: Sequence[float]
    color: int


@dataclass(frozen=True)
class BarChart:
    """Bars from zero.

    Attributes:
        series: each with as many values as there are bins or names.
        y: the axis of heights.
        x: the axis below: its name, and its values where bars stand over bins.
        edges: of the bins, one more than bars; empty where bars have names.
        names: of the bars; empty where they stand over bins.
        height: of the drawing, pixels.
    """

    series: Sequence[Series]
    y: Axis
    x: Axis
    edges: Sequence[float] = ()
    names: Sequence[str] = ()
    height: int = _HEIGHT

    def list_legend(self) -> Sequence[tuple[str, str, str]]:
        """Return the series that have names."""
        return [(item.name, get_color(item.color), "") for item in self.series if item.name]

    def draw(self, label: str) -> Markup:
        """Return the SVG."""
        count = max((len(item.values) for item in self.series), default=0)
        low, high = fit_limits(
            [v for item in self.series for v in item.values], self.y, include=(0.0,)
        )
        is_slanted = bool(self.names) and any(
            measure_text(name) > (_WIDTH - 50) / max(1, count) - 4 for name in self.names
        )
        left = find_left(self.y, low, high, 4)
        height = self.height + (_NAMES_HEIGHT - 20 if is_slanted else 0)
        top, right = 24.0, _WIDTH - 12.0
        bottom = self.height - 40.0
        y = Scale(low, high, bottom, top)
        parts: list[object] = [draw_y_axis(self.y, y, left, right, 4)]
        room = (right - left) / max(1, count)
        for number, item in enumerate(self.series):
            bar = room * (0.9 if self.edges else 0.8) / max(1, len(self.series))
            begin = left + room * (0.05 if self.edges else 0.1)
            for position, value in enumerate(item.values):
                if not math.isfinite(value):
                    continue
                x = begin + position * room + number * bar
                parts.append(self._draw_bar(item, position, value, x, bar, y))
        parts.append(draw_line(left, y(0), right, y(0), "x"))
        parts.append(self._draw_below(left, right, top, bottom, room, is_slanted, height))
        return draw_svg(parts, label, _WIDTH, height)

    def describe_bar(self, position: int) -> str:
        """Return the name of a bar, or the edges of its bin."""
        if self.names:
            return self.names[position]
        return " to ".join(self.x.format(edge) for edge in self.edges[position : position + 2])

    def _draw_bar(
        self, item: Series, position: int, value: float, x: float, width: float, y: Scale
    ) -> Markup:
        above, below = min(y(value), y(0)), max(y(value), y(0))
        start = f"{shorten(self.describe_bar(position), 160)}, {item.name}" if item.name else (
            shorten(self.describe_bar(position), 160)
        )  # fmt: skip
        title = element("title", f"{start}: {self.y.format(value)}")
        return element(
            "rect", title, x=f"{x:.1f}", y=f"{above:.1f}", width=f"{max(0.5, width):.1f}",
            height=f"{below - above:.1f}", style=f"fill:{get_color(item.color)}",
        )  # fmt: skip

    def _draw_below(
        self, left: float, right: float, top: float, bottom: float, room: float, is_slanted: bool,
        height: float,
    ) -> Markup:  # fmt: skip
        if self.edges:
            low, high = self.edges[0], self.edges[-1]
            is_even = high > low and all(
                abs((b - a) - (high - low) / (len(self.edges) - 1)) <= 1e-6 * (high - low)
                for a, b in zip(self.edges, self.edges[1:], strict=False)
            )
            if is_even:
                return draw_x_axis(self.x, Scale(low, high, left, right), top, bottom)
            return self._name_uneven_edges(left, right, bottom, room)
        parts = []
        for position, name in enumerate(self.names):
            x = left + (position + 0.5) * room
            if is_slanted:
                cut = cut_text(name, _NAMES_HEIGHT - 6)
                title = element("title", shorten(name, 200)) if cut != name else ""
                turn = f"translate({x + 4:.1f} {bottom + 12:.0f}) rotate(-55)"
                parts.append(element("text", title, cut, transform=turn, text_anchor="end"))
            else:
                parts.append(draw_text(x, bottom + 16, name, text_anchor="middle"))
        middle = (left + right) / 2
        parts.append(draw_text(middle, height - 5, cut_text(self.x.name, 400), class_="q",
                               text_anchor="middle"))  # fmt: skip
        return Markup("".join(parts))

    def _name_uneven_edges(self, left: float, right: float, bottom: float, room: float) -> Markup:
        """Return ticks at edges of bins that are as wide as each other, whatever their values."""
        count = len(self.edges) - 1
        step = max(1, -(-count // 5))
        parts = [close_void("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="x")]
        chosen = list(range(0, count + 1, step))
        for position in chosen:
            anchor = "end" if position == count else "start" if position == 0 else "middle"
            parts.append(
                draw_text(left + position * room, bottom + 16, self.x.format(self.edges[position]),
                          class_="q", text_anchor=anchor)
            )  # fmt: skip
        parts.append(
            draw_text((left + right) / 2, bottom + 34, cut_text(self.x.name, 380),
                      text_anchor="middle")
        )  # fmt: skip
        return Markup("".join(parts))
