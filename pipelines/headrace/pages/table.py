"""Show a table: numbers aligned at their decimal points, sortable, searchable, of limited length.

Sorting and searching are added by the page's script; without it the table is as complete.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.number_text import format_number
from headrace.pages.markup import Markup, element, escape, join, shorten

MAX_ROWS = 200
_NUMBER = re.compile(r"^([^\d]*[\d,]*)(\.\d+)?(.*)$", re.DOTALL)
_LONG_WORD = 28  # letters: longer ones are broken anywhere; long texts keep their column wide
_MOST_PADDING = 8  # digits: a number of more is not lined up with others


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading, with the unit where numbers have one: `seconds`, `error (USD)`.
        is_number: whether its cells are right-aligned at the decimal point.
        digits: significant digits of plain numbers.
    """

    name: str
    is_number: bool = False
    digits: int = 5


@dataclass(frozen=True)
class Cell:
    """A cell that is shown in other words than it is sorted by, or that is marked.

    Attributes:
        text: what is shown; text is escaped.
        value: by which it is sorted; its text by default.
        tone: `error`, `warning`, `ok` or `info`: shown in the colour and in bold.
    """

    text: object
    value: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a sentence on how to read it.

    Attributes:
        columns: the headings; the first column names the row.
        rows: cells as text, numbers, `Cell`, `Markup` or None.
        reading: one sentence that says how to read it.
        title: heading above it; empty where the section's is enough.
        most: rows that are shown.
        left_out: where the other rows are, for example `slices.json`.
        dim: positions of rows that are less important.
        raw_columns: of a table whose rows are rows of the lake: the column of each cell, "" where
            it is none; so that a person's rows can be found in a page, see `pages.raw_rows`.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    reading: str
    title: str = ""
    most: int = MAX_ROWS
    left_out: str = ""
    dim: frozenset[int] = frozenset()
    raw_columns: Sequence[str] = ()

    def render(self, name: str = "") -> Markup:
        """Return the table as HTML.

        Args:
            name: of the section, read aloud where the table has no title.
        """
        shown = self.rows[: self.most]
        head = element(
            "tr",
            *(element("th", shorten(c.name), scope="col", class_=_choose_class(c.name, c.is_number))
              for c in self.columns),
        )  # fmt: skip
        texts = [_align_column(c, [row[n] for row in shown]) if c.is_number else []
                 for n, c in enumerate(self.columns)]  # fmt: skip
        body = join(
            element(
                "tr",
                *(self._render_cell(n, row[n], texts[n][position] if texts[n] else None)
                  for n in range(len(self.columns))),
                class_="dim" if position in self.dim else None,
            )
            for position, row in enumerate(shown)
        )  # fmt: skip
        label = shorten(self.title or name or "table", 80)
        table = element(
            "table", element("thead", head), element("tbody", body),
            data_sort=True,
            data_raw_columns=json.dumps(list(self.raw_columns)) if self.raw_columns else None,
            aria_label=label,
        )  # fmt: skip
        left = len(self.rows) - len(shown)
        where = f": they are in {self.left_out}" if self.left_out else ""
        return join(
            (
                element("h3", self.title) if self.title else "",
                element("p", self.reading, class_="r"),
                element(
                    "div", table, class_="scroll", tabindex="0", role="group", aria_label=label
                ),
                element("p", f"{left:,} more rows are not on this page{where}.", class_="d")
                if left > 0
                else "",
            )
        )

    def _render_cell(self, number: int, value: Any, aligned: Markup | None) -> Markup:
        content: object = value.text if isinstance(value, Cell) else value
        if aligned is None and not isinstance(content, Markup):
            content = shorten("" if content is None else content, 240)
        shown = escape(content) if aligned is None else aligned
        if isinstance(value, Cell) and value.tone:
            shown = element("span", shown, class_=f"word {value.tone}")
        name = "th" if number == 0 and not self.columns[0].is_number else "td"
        if name == "th" and not str(content).strip():
            shown = element("i", "(empty)")  # who listens hears that a value has no characters
        sort_value = value.value if isinstance(value, Cell) else None
        return element(
            name,
            shown,
            scope="row" if name == "th" else None,
            class_=_choose_class(content, aligned is not None),
            data_v=None if sort_value is None else repr(float(sort_value)),
        )


def _choose_class(content: object, is_number: bool) -> str | None:
    if is_number:
        return "n"
    text = str(content)
    if any(len(word) > _LONG_WORD for word in text.split()):
        return "w"
    return "t" if len(text) > _LONG_WORD else None


def _align_column(column: Column, values: Sequence[Any]) -> list[Markup]:
    """Return the cells of a column of numbers, with as much room behind their decimal points."""
    parts = [_split_number(_format_cell(value, column.digits)) for value in values]
    longest = [len(part[1]) for part in parts if len(part[1]) <= _MOST_PADDING]
    width = max(longest, default=0)
    cells = []
    for whole, fraction, rest in parts:
        missing = width - len(fraction)
        filler = ("0" * missing if fraction else "." + "0" * (missing - 1)) if missing > 0 else ""
        # Unseen digits, so that the points stand above each other whatever the font.
        padding = element("i", data_p=filler) if filler and whole else ""
        cells.append(join((whole, fraction, rest, padding)))
    return cells


def _format_cell(value: Any, digits: int) -> str:
    content = value.text if isinstance(value, Cell) else value
    if content is None:
        return ""
    if isinstance(content, (int, float)) and not isinstance(content, bool):
        return format_signed(float(content), digits)
    return str(content)


def _split_number(text: str) -> tuple[str, str, str]:
    """Return a number's text before the point, from the point on, and what follows the digits."""
    match = _NUMBER.match(text)
    if match is None or not any(c.isdigit() for c in match.group(1)):
        return text, "", ""
    return match.group(1), match.group(2) or "", match.group(3)


def format_signed(value: float, digits: int = 5) -> str:
    """Return a number for people, with a minus sign as wide as a digit.

    What is not finite is said in a word.
    """
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "−infinite" if value < 0 else "infinite"
    return format_number(value, digits).replace("-", "−", 1 if value < 0 else 0)
