"""Draw how rows lie over two numeric axes, as cells that are stronger where more of them are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.number_text import format_number
from headrace.pages.charts.frame import (
    Axis,
    Scale,
    close_cells,
    draw_line,
    draw_svg,
    draw_x_axis,
    draw_y_axis,
    find_left,
)
from headrace.pages.colors import get_color
from headrace.pages.markup import Markup

_WIDTH, _HEIGHT = 440, 400
_LEVELS = 5


@dataclass(frozen=True)
class Density:
    """Counts over a grid.

    Attributes:
        x_edges, y_edges: of the cells, ascending.
        counts: by cell of x, then of y.
        x, y: the axes.
        unit: of the counts.
        has_diagonal: whether the line of equal values is drawn.
    """

    x_edges: Sequence[float]
    y_edges: Sequence[float]
    counts: Sequence[Sequence[float]]
    x: Axis
    y: Axis
    unit: str = "rows"
    has_diagonal: bool = True

    def list_legend(self) -> Sequence[tuple[str, str, str]]:
        """Return the levels: from how many rows on a cell has which strength."""
        starts = self._find_levels()
        return [
            (f"from {format_number(start, 3)} {self.unit}", _mix(level), "")
            for level, start in enumerate(starts)
        ]

    def draw(self, label: str) -> Markup:
        """Return the SVG."""
        left = find_left(self.y, self.y_edges[0], self.y_edges[-1])
        top, bottom, right = 24.0, _HEIGHT - 40.0, _WIDTH - 14.0
        x = Scale(self.x_edges[0], self.x_edges[-1], left, right)
        y = Scale(self.y_edges[0], self.y_edges[-1], bottom, top)
        starts = self._find_levels()
        cells: list[list[tuple[float, float, float, float]]] = [[] for _ in starts]
        for column, row in enumerate(self.counts):
            for position, count in enumerate(row):
                if not count > 0:
                    continue
                level = max((n for n, start in enumerate(starts) if count >= start), default=0)
                x0, x1 = x(self.x_edges[column]), x(self.x_edges[column + 1])
                y0, y1 = y(self.y_edges[position + 1]), y(self.y_edges[position])
                cells[level].append((x0, y0, x1 - x0, y1 - y0))
        parts: list[object] = [
            draw_y_axis(self.y, y, left, right),
            draw_x_axis(self.x, x, top, bottom),
            *(close_cells(group, f"fill:{_mix(level)}") for level, group in enumerate(cells)),
        ]
        if self.has_diagonal:
            low = max(self.x_edges[0], self.y_edges[0])
            high = min(self.x_edges[-1], self.y_edges[-1])
            parts.append(draw_line(x(low), y(low), x(high), y(high), "k"))
        return draw_svg(parts, label, _WIDTH, _HEIGHT)

    def _find_levels(self) -> list[float]:
        """Return the counts at which levels begin: evenly apart in their logarithms."""
        counts = [c for row in self.counts for c in row if c > 0]
        if not counts:
            return []
        low, high = min(counts), max(counts)
        if high <= low * 1.01:
            return [low]
        steps = min(_LEVELS, max(2, math.ceil(math.log2(high / low))))
        starts = [low * (high / low) ** (n / steps) for n in range(steps)]
        return list(dict.fromkeys([low, *(float(f"{s:.2g}") for s in starts[1:])]))


def _mix(level: int) -> str:
    share = (25, 40, 58, 78, 100)[min(level, _LEVELS - 1)]
    return f"color-mix(in srgb,{get_color(0)} {share}%,var(--bg))"
