"""Tables show what they are given, line numbers up, and say what they leave out."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pages.table import Cell, Column, Table, format_signed
from tests.pages.reading import NUMBERS, TEXTS, Reader

NAME, VALUE = Column("name"), Column("value", is_number=True)


def read_cells(table: Table) -> list[list[str]]:
    """The texts of each row, without the unseen digits, which are attributes."""
    page = table.render()
    Reader(page)
    rows = page.split("<tbody>")[1].split("<tr")[1:]
    return [Reader(f"<tr{row.split('</tbody>')[0]}").text.split(" ") for row in rows]


def test_numbers_stand_below_each_other_at_their_points() -> None:
    page = Table([NAME, VALUE], [("a", 0.75), ("b", 29_496), ("c", -0.123)], "r").render()
    assert '0.75<i data-p="0"></i>' in page
    assert '29,496<i data-p=".000"></i>' in page
    assert "−0.123</td>" in page


def test_units_behind_numbers_stay_in_line() -> None:
    cells = [("a", Cell("12.5%", 0.125)), ("b", Cell("7%", 0.07))]
    page = Table([NAME, VALUE], cells, "r").render()
    assert 'data-v="0.07">7%<i data-p=".0"></i>' in page


def test_what_is_not_finite_is_said_in_words() -> None:
    assert [format_signed(v) for v in (math.nan, math.inf, -math.inf, -0.5)] == [
        "not defined", "infinite", "−infinite", "−0.5",
    ]  # fmt: skip


def test_rows_beyond_the_first_are_counted_and_named() -> None:
    rows = [(f"c{n}", n) for n in range(2000)]
    table = Table([NAME, VALUE], rows, "r", most=150, left_out="slices.json")
    reader = Reader(table.render())
    assert "1,850 more rows are not on this page: they are in slices.json." in reader.text
    assert len(reader.find("tr")) == 151
    assert "more rows" not in Reader(Table([NAME, VALUE], rows[:150], "r").render()).text


def test_every_table_says_how_to_read_it_and_what_it_is() -> None:
    page = Table([NAME, VALUE], [("a", 1)], "One row each.", title="Things").render()
    reader = Reader(page)
    assert "One row each." in reader.texts
    assert reader.find("table")[0]["aria-label"] == "Things"
    assert [a["scope"] for a in reader.find("th")] == ["col", "col", "row"]


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4, unique=True), st.data())
def test_no_cell_is_markup(names: list[str], data: st.DataObject) -> None:
    columns = [Column(name, is_number=data.draw(st.booleans())) for name in names]
    cells = TEXTS | NUMBERS | st.none() | st.builds(Cell, TEXTS | NUMBERS)
    rows = data.draw(st.lists(st.tuples(*(cells for _ in names)), max_size=4))
    page = Table(columns, rows, "r").render()
    page.encode()
    reader = Reader(page)
    assert {name for name, _ in reader.elements} <= {
        "p", "div", "table", "thead", "tbody", "tr", "th", "td", "i",
    }  # fmt: skip
    assert len(reader.find("tr")) == 1 + len(rows)


def test_long_words_break_and_short_ones_do_not() -> None:
    page = Table([NAME, VALUE], [("x" * 5000, 1), ("short words stay whole", 2)], "r").render()
    assert '<th scope="row" class="w">' in page and '<th scope="row">short' in page
    assert "4,760 more characters" in page
