"""Find rows of the lake that a page shows, and take some of them out: of a person to be erased."""

import html
import json
import re
from collections.abc import Callable, Sequence

_TABLE = re.compile(r'<table[^>]* data-raw-columns="([^"]*)"[^>]*>.*?</table>', re.DOTALL)
_ROW = re.compile(r"<tr[^>]*>((?:<t[hd].*?</t[hd]>)+)</tr>", re.DOTALL)
_CELL = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def list_raw_columns(page: str) -> list[list[str]]:
    """Return the columns of each table of raw rows; none where a page shows no raw rows."""
    return [json.loads(html.unescape(columns)) for columns in _TABLE.findall(page)]


def remove_rows(
    page: str, is_removed: Callable[[Sequence[str], Sequence[str]], bool]
) -> tuple[str, int]:
    """Return a page without some of its raw rows, and how many there were.

    Args:
        page: as `Page.render` wrote it.
        is_removed: from the names of the columns and the texts of a row's cells.
    """
    removed = 0

    def clean_table(table: re.Match[str]) -> str:
        columns = json.loads(html.unescape(table.group(1)))

        def clean_row(row: re.Match[str]) -> str:
            nonlocal removed
            cells = [html.unescape(_TAG.sub("", cell)) for cell in _CELL.findall(row.group(1))]
            if 'scope="col"' in row.group(1) or not is_removed(columns, cells):
                return row.group()
            removed += 1
            return ""

        return _ROW.sub(clean_row, table.group())

    return _TABLE.sub(clean_table, page), removed
