"""Draw a matrix of shares: how often each class was taken for which, with percentages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.number_text import format_number, format_share
from headrace.pages.charts.frame import (
    close_cells,
    cut_text,
    draw_name,
    draw_svg,
    draw_text,
    measure_text,
)
from headrace.pages.markup import Markup, element, shorten

_READABLE = 12  # classes up to which cells have room for their numbers
_NAMED = 40  # classes up to which rows and columns have room for their names
_STRONGEST = 0.55  # opacity of a share of 1: text on it keeps a contrast of 4.5 : 1 and more


@dataclass(frozen=True)
class Matrix:
    """Counts by row and column; colours are shares of a row.

    Attributes:
        names: of rows and columns.
        counts: weights or numbers of rows, by row and column.
        row_axis, column_axis: what rows and columns are.
        unit: of the counts, `rows`.
    """

    names: Sequence[str]
    counts: Sequence[Sequence[float]]
    row_axis: str
    column_axis: str
    unit: str = "rows"

    def list_legend(self) -> Sequence[tuple[str, str, str]]:
        """Return nothing: cells say their numbers."""
        return ()

    def find_share(self, row: int, column: int) -> float:
        """Return the share of a row's counts in a column; NaN of a row without any."""
        total = sum(self.counts[row])
        return self.counts[row][column] / total if total > 0 else math.nan

    def draw(self, label: str) -> Markup:
        """Return the SVG."""
        count = len(self.names)
        is_readable, is_named = count <= _READABLE, count <= _NAMED
        widest = max((measure_text(name) for name in self.names), default=0) + 12
        left = (min(130.0, widest) if is_named else 4.0) + 20
        cell = max(70.0 if is_readable else 0.0, min(110.0, (440 - left) / max(1, count)))
        if is_readable and count > 5:
            cell = 64.0
        width = left + cell * count + 4
        tall = 44.0 if is_readable else cell
        is_turned = is_named and widest > cell
        head = 24 + (min(96.0, widest) if is_turned else 18 if is_named else 0)
        height = head + tall * count + 6
        parts: list[object] = [
            draw_text(left + cell * count / 2, 14, cut_text(self.column_axis, cell * count + left),
                      text_anchor="middle"),
            element("text", self.row_axis, text_anchor="middle",
                    transform=f"translate(14 {head + tall * count / 2:.0f}) rotate(-90)"),
        ]  # fmt: skip
        for position, name in enumerate(self.names):
            if not is_named:
                break
            middle = head + (position + 0.5) * tall + 4
            parts.append(draw_name(left - 6, middle, name, left - 30, "end"))
            x = left + (position + 0.5) * cell
            if is_turned:
                cut = cut_text(name, 88)
                turn = f"translate({x + 4:.1f} {head - 5:.0f}) rotate(-90)"
                parts.append(element("text", element("title", shorten(name)), cut, transform=turn))
            else:
                parts.append(draw_name(x, head - 6, name, cell - 4, "middle"))
        parts += self._draw_cells(left, head, cell, tall, is_readable)
        return draw_svg(parts, label, width, height)

    def _draw_cells(
        self, left: float, head: float, cell: float, tall: float, is_readable: bool
    ) -> list[object]:
        count = len(self.names)
        parts: list[object] = [
            element("rect", x=f"{left:.1f}", y=f"{head:.1f}", width=f"{cell * count:.1f}",
                    height=f"{tall * count:.1f}", style="fill:none", class_="g")
        ]  # fmt: skip
        levels: dict[float, list[tuple[float, float, float, float]]] = {}
        for row in range(count):
            for column in range(count):
                value = self.counts[row][column]
                if not value and not is_readable:
                    continue
                share = self.find_share(row, column)
                opacity = 0.0 if math.isnan(share) else share * _STRONGEST
                place = (left + column * cell, head + row * tall, cell, tall)
                if count > _NAMED:
                    levels.setdefault(max(0.05, round(opacity, 1)), []).append(place)
                    continue
                parts.append(self._draw_cell(row, column, place, f"{opacity:.3f}"))
                if is_readable:
                    middle, y = place[0] + cell / 2, place[1]
                    bold = "font-weight:600"
                    words = (_format_share(share), format_number(value, 4))
                    parts += [
                        draw_text(middle, y + 19, words[0], text_anchor="middle", style=bold),
                        draw_text(middle, y + 35, words[1], text_anchor="middle", class_="q"),
                    ]
        for opacity, places in levels.items():
            parts.append(close_cells(places, f"fill:var(--c0);fill-opacity:{opacity:g}"))
        return parts

    def _draw_cell(
        self, row: int, column: int, place: tuple[float, float, float, float], opacity: str
    ) -> Markup:
        """Return a cell that says in its title what it counts."""
        truth, predicted = shorten(self.names[row], 80), shorten(self.names[column], 80)
        words = (
            f"{truth} predicted as {predicted}: {format_number(self.counts[row][column])} "
            f"{self.unit}, {_format_share(self.find_share(row, column))} of its row"
        )
        left, top, width, height = (f"{number:.1f}" for number in place)
        style = f"fill:var(--c0);fill-opacity:{opacity}"
        title = element("title", words)
        return element("rect", title, x=left, y=top, width=width, height=height, style=style,
                       class_="g")  # fmt: skip


def _format_share(share: float) -> str:
    return "no rows" if math.isnan(share) else format_share(share)
