"""What is not markup is escaped at the sink, whatever the text holds."""

import pytest
from hypothesis import given

from headrace.pages.markup import Markup, element, escape, join, make_anchor, shorten
from tests.pages.reading import STRANGE, TEXTS, Reader


@given(TEXTS, TEXTS)
def test_no_text_becomes_markup(text: str, value: str) -> None:
    page = element("p", text, title=value)
    page.encode()
    reader = Reader(page)
    assert [name for name, _ in reader.elements] == ["p"]
    assert list(reader.find("p")[0]) == ["title"]


def test_markup_stays_and_what_is_made_of_it_by_hand_does_not() -> None:
    bold = element("b", "a & b")
    assert bold == "<b>a &amp; b</b>"
    assert escape(bold) is bold
    # An f-string is no markup any more: forgetting to join escapes, and never lets through.
    assert escape(f"{bold}") == "&lt;b&gt;a &amp;amp; b&lt;/b&gt;"
    assert isinstance(join((bold, "<")), Markup)
    assert join((bold, "<"), ", ") == "<b>a &amp; b</b>, &lt;"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a␀b"),
        ("\x7f", "[U+007F]"),
        ("\u202eexe.gpj", "[U+202E]exe.gpj"),
        ("\ud83d", "\ufffd"),
        ("👩‍👧", "👩‍👧"),  # the joiner of one emoji stays
        ("عمر", "عمر"),
        ("a\n\tb", "a\n\tb"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_long_texts_say_what_they_leave_out() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("x" * 1500, 100) == "x" * 100 + "… (1,400 more characters)"


def test_attributes_without_a_value_and_left_out() -> None:
    assert element("input", disabled=True, title=None, hidden=False) == "<input disabled>"
    assert element("td", 1, data_v="2", class_="n") == '<td data-v="2" class="n">1</td>'


def test_anchors_are_of_plain_letters_and_each_once() -> None:
    taken: set[str] = set()
    anchors = [make_anchor(text, taken) for text in (*STRANGE, "Row ledger", "Row  ledger")]
    assert len(set(anchors)) == len(anchors)
    assert anchors[-2:] == ["row-ledger", "row-ledger-2"]
    assert all(set(a) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for a in anchors)
