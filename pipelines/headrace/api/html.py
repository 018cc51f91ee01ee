"""Show tables and reports in a notebook, as HTML that needs nothing of the page around it."""

import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

_CELL = "padding:2px 12px 2px 0;border:none;background:none;text-align:"


class Report:
    """A report: one HTML page that needs no server and nothing from elsewhere.

    In a notebook it is shown in a frame of its own, which can neither read nor change the notebook.

    Attributes:
        title: what it is about.
        html: the page.
    """

    def __init__(self, title: str, page: str, height: int = 720) -> None:
        """
        Args:
            title, page: see the attributes.
            height: of the frame in a notebook, pixels.
        """
        self.title, self.html = title, page
        self._height = height

    def save(self, path: "str | os.PathLike[str]") -> Path:
        """Write the page to a file, and return its path."""
        file = Path(path)
        file.write_text(self.html, encoding="utf-8")
        return file

    def __repr__(self) -> str:
        return f"Report({self.title!r}, {len(self.html):,} characters)"

    def _repr_html_(self) -> str:
        page = html.escape(self.html, quote=True)
        return (
            f'<iframe title="{html.escape(self.title, quote=True)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{self._height}px;border:1px solid #8884" '
            f'srcdoc="{page}"></iframe>'
        )


def format_table(rows: Iterable[Sequence[object]]) -> str:
    """Format rows as a table whose first column has names, the others values at the right."""
    lines = []
    for row in rows:
        cells = [
            f'<t{"d" if index else "h"} style="{_CELL}{"right" if index else "left"}">'
            f"{html.escape(str(value))}</t{'d' if index else 'h'}>"
            for index, value in enumerate(row)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table style="border-collapse:collapse">{"".join(lines)}</table>'


def format_section(title: str, *parts: str) -> str:
    """Format a title and what stands below it; the parts are HTML."""
    return f"<div><strong>{html.escape(title)}</strong>{''.join(parts)}</div>"
