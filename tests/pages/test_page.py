"""A page is complete in itself, runs our script alone, and says where everything is."""

import base64
import hashlib
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.pages.charts.frame import Axis, Figure
from headrace.pages.charts.rows import RowChart, RowMark, RowSeries
from headrace.pages.page import Page, Section
from headrace.pages.table import Column, Table
from headrace.pages.tiles import Alert, Alerts, Tile, Tiles
from tests.pages.reading import EVIL, NUMBERS, TEXTS, check_page

TABLE = Table([Column("a"), Column("b", is_number=True)], [("x", 1)], "r")


def test_contents_lead_to_the_sections_that_have_parts() -> None:
    page = Page("t", [Section("One", [TABLE]), Section("None", [None]), Section("Two", ["text"])])
    reader = check_page(page.render())
    links = [a["href"] for a in reader.find("a")]
    assert links == ["#top", "#one", "#two"]
    assert [a["id"] for a in reader.find("section")] == ["one", "two"]


def test_the_policy_names_the_script_and_allows_nothing_else() -> None:
    page = Page("t", [Section("One", [TABLE])]).render()
    (policy,) = [
        a["content"] for a in check_page(page).find("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    ]  # fmt: skip
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'")
    assert "unsafe-eval" not in str(policy)


def test_the_frame_of_a_page_is_small() -> None:
    assert len(Page("t", []).render()) < 20_000


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, min_size=3, max_size=3), NUMBERS)
def test_no_text_of_any_part_is_markup(texts: list[str], number: float) -> None:
    title, name, value = texts
    chart = RowChart([name], [RowSeries(value, [RowMark(float(number))], 0)], Axis(name))
    parts = [
        Table([Column(name)], [(value,)], value, title=name),
        Alerts([Alert("error", value, name)], name),
        Tiles([Tile(name, value, [title])], value),
        Figure(name, chart, value, title),
        value,
    ]
    check_page(Page(title, [Section(name, parts, value)], {name: value}, value).render())


def test_alerts_stand_by_severity_and_are_counted() -> None:
    alerts = [Alert("info", "i"), Alert("error", "e"), Alert("ok", "o"), Alert("warning", "w")]
    text = check_page(Page("t", [Section("A", [Alerts(alerts, "r", most=3)])]).render()).text
    assert re.search(r"Error : e .*Warning : w .*Note : i", text)
    assert "1 more, none more severe, are not shown." in text
    none = check_page(Page("t", [Section("A", [Alerts([], "r", none="All is well.")])]).render())
    assert "All is well." in none.texts


def test_markup_that_slips_in_is_run_by_nobody() -> None:
    """Even where escaping was forgotten, the page's own policy stands before a browser runs it."""
    page = Page(EVIL, [Section("One", [TABLE])]).render()
    assert page.index("Content-Security-Policy") < page.index("<title>")
