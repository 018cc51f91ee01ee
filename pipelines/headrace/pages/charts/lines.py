"""Draw lines over two numeric axes: learning curves, thresholds, ROC, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from headrace.pages.charts.frame import (
    HEIGHT,
    WIDTH,
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
    list_finite,
    write_path,
)
from headrace.pages.colors import get_color, get_dashes
from headrace.pages.markup import Markup, close_void, element

_MOST_MARKS = 60  # points with a mark and a title of their own; of more the line is enough
_MOST_POINTS = 400


@dataclass(frozen=True)
class Line:
    """A line.

    Attributes:
        name: in the legend.
        x, y: of its points, in their order; those that are not finite are left out.
        color: position among the colours.
        dashes: of a line that shares its colour; empty where it is solid.
        is_step: whether it has steps, as a histogram's outline has.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int
    dashes: str = ""
    is_step: bool = False


@dataclass(frozen=True)
class LineChart:
    """Lines over two axes.

    Attributes:
        lines: to draw.
        x, y: the axes.
        has_diagonal: whether the line of equal values is drawn.
        mark: value of x at which a line stands, and its words.
        level: value of y at which a line lies, and its words.
    """

    lines: Sequence[Line]
    x: Axis
    y: Axis
    has_diagonal: bool = False
    mark: tuple[float, str] | None = None
    level: tuple[float, str] | None = None

    def list_legend(self) -> Sequence[tuple[str, str, str]]:
        """Return the lines, where there are several."""
        if len(self.lines) < 2:
            return ()
        return [(line.name, get_color(line.color), _choose_dashes(line)) for line in self.lines]

    def draw(self, label: str) -> Markup:
        """Return the SVG."""
        points = [_thin(list_finite(line.x, line.y)) for line in self.lines]
        every = [point for line in points for point in line]
        marks = [self.mark[0]] if self.mark else []
        levels = [self.level[0]] if self.level else []
        x_low, x_high = fit_limits([p[0] for p in every], self.x, marks)
        y_low, y_high = fit_limits([p[1] for p in every], self.y, levels)
        left = find_left(self.y, y_low, y_high)
        top, bottom, right = 24, HEIGHT - 40, WIDTH - 14
        x, y = Scale(x_low, x_high, left, right), Scale(y_low, y_high, bottom, top)
        parts: list[object] = [
            draw_y_axis(self.y, y, left, right),
            draw_x_axis(self.x, x, top, bottom),
        ]
        if self.has_diagonal:
            low, high = max(x_low, y_low), min(x_high, y_high)
            parts.append(draw_line(x(low), y(low), x(high), y(high), "k"))
        if self.level:
            parts.append(draw_line(left, y(levels[0]), right, y(levels[0]), "k"))
            parts.append(
                draw_text(right, y(levels[0]) - 5, cut_text(self.level[1], 240), text_anchor="end")
            )
        for line, shown in zip(self.lines, points, strict=True):
            parts.extend(self._draw_one(line, shown, x, y))
        if self.mark:
            at = x(marks[0])
            is_right = at > (left + right) / 2
            parts.append(draw_line(at, top, at, bottom, "k"))
            parts.append(
                draw_text(at + (-5 if is_right else 5), top + 12, cut_text(self.mark[1], 160),
                          text_anchor="end" if is_right else None)
            )  # fmt: skip
        return draw_svg(parts, label, WIDTH, HEIGHT)

    def _draw_one(
        self, line: Line, points: list[tuple[float, ...]], x: Scale, y: Scale
    ) -> list[Markup]:
        if not points:
            return []
        color = get_color(line.color)
        places = [(x(p[0]), y(p[1])) for p in points]
        path = _make_steps(places) if line.is_step else places
        drawn = []
        if len(path) > 1:
            drawn.append(
                close_void("path", d=write_path(path), class_="l", style=f"stroke:{color}",
                           stroke_dasharray=_choose_dashes(line) or None)
            )  # fmt: skip
        if len(points) <= _MOST_MARKS and not line.is_step:
            for point, (cx, cy) in zip(points, places, strict=True):
                words = f"{line.name}: {self.x.format(point[0])}, {self.y.format(point[1])}"
                drawn.append(
                    element("circle", element("title", words), cx=f"{cx:.1f}", cy=f"{cy:.1f}",
                            r=3 if len(points) <= 30 else 2, style=f"fill:{color}")
                )  # fmt: skip
        return drawn


def _choose_dashes(line: Line) -> str:
    return line.dashes or get_dashes(line.color)


def _make_steps(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the outline of bins: each height is kept until the next point."""
    path = [places[0]]
    for (_, before), (after, height) in pairwise(places):
        path += [(after, before), (after, height)]
    return path


def _thin(points: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Return at most so many points as can be told apart, the last one among them."""
    step = -(-len(points) // _MOST_POINTS)
    return points if step <= 1 else [*points[:-1:step], points[-1]]
