"""A person's rows can be taken out of a page, and only these."""

from headrace.pages.page import Page, Section
from headrace.pages.raw_rows import list_raw_columns, remove_rows
from headrace.pages.table import Column, Table
from tests.pages.reading import EVIL, check_page

RAW = Table(
    [Column("truth"), Column("loss", is_number=True), Column("user"), Column(EVIL)],
    [("late", 9.5, "u-1", EVIL), ("late", 2.5, "u-2", "b"), ("on time", 1.0, "u-1", None)],
    "r",
    raw_columns=("", "", "user", EVIL),
)
OTHER = Table([Column("user"), Column("n")], [("u-1", "of all rows")], "r")
PAGE = Page("t", [Section("Raw", [RAW]), Section("Other", [OTHER])]).render()


def test_rows_of_raw_tables_are_found_by_their_cells() -> None:
    assert list_raw_columns(PAGE) == [["", "", "user", EVIL]]
    page, removed = remove_rows(PAGE, lambda columns, cells: cells[columns.index("user")] == "u-1")
    text = check_page(page).text
    assert removed == 2
    assert "u-2" in text and "9.5" not in text
    assert "u-1 of all rows" in text  # not a row of the lake
    assert remove_rows(page, lambda *_: False) == (page, 0)


def test_cells_are_compared_as_they_were_before_escaping() -> None:
    _, removed = remove_rows(PAGE, lambda columns, cells: cells[columns.index(EVIL)] == EVIL)
    assert removed == 1


def test_a_page_without_raw_rows_is_left_as_it_is() -> None:
    page = Page("t", [Section("Other", [OTHER])]).render()
    assert list_raw_columns(page) == []
    assert remove_rows(page, lambda *_: True) == (page, 0)
