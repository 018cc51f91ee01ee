"""Rows of the lake that a report shows are a person's, too: they are taken out, or it is named."""

from headrace.columns.person_key import PersonKey
from headrace.pages.page import Page, Section
from headrace.pages.table import Column, Table
from headrace.tracking.erase import _erase_text, _hides_rows

ROWS = [("late", "user-0001", "41"), ("late", "user-0002", "77"), ("on time", "user-0001", "52")]


def make_page(columns: tuple[str, ...]) -> bytes:
    names = [Column("truth"), Column(columns[1] or "a"), Column(columns[2] or "b")]
    table = Table(names, ROWS, "r", raw_columns=columns)
    return Page("t", [Section("Worst rows", [table])]).render().encode()


def test_rows_with_the_key_are_taken_out_of_a_report() -> None:
    page = make_page(("", "user", "age"))
    cleaned, rows = _erase_text(page, PersonKey({"user": "user-0001"}))
    assert rows == 2
    assert b"user-0001" not in cleaned and b">41<" not in cleaned and b">52<" not in cleaned
    assert b"user-0002" in cleaned and b">77<" in cleaned
    assert not _hides_rows(cleaned, PersonKey({"user": "user-0001"}))
    assert _erase_text(cleaned, PersonKey({"user": "user-0001"})) == (cleaned, 0)


def test_all_columns_of_a_key_have_to_be_equal() -> None:
    page = make_page(("", "user", "age"))
    cleaned, rows = _erase_text(page, PersonKey({"user": "user-0001", "age": "41"}))
    assert rows == 1
    assert b">52<" in cleaned and b">41<" not in cleaned


def test_a_report_without_the_key_is_named() -> None:
    page = make_page(("", "age", ""))
    assert _hides_rows(page, PersonKey({"user": "9"}))
    assert not _hides_rows(Page("t", []).render().encode(), PersonKey({"user": "9"}))
