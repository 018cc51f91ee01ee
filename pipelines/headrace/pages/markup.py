"""Write HTML: what is not markup already is text, and is escaped here and nowhere else.

Texts come from data: a column may be called `<script>`, hold ten thousand letters, half of a
surrogate pair, or a sign that turns the rest of the line around. None of it reaches a page as it
is.
"""

import html
import re
from collections.abc import Iterable
from typing import Any

_VOID = frozenset({"br", "col", "img", "input", "meta"})
# Control characters have no glyph, and a parser may drop or refuse them; signs that override the
# direction of text make a name look like another one, and turn what follows them around.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Markup(str):
    """HTML that this package wrote; every other text is escaped when it is put into a page."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Return a value as HTML; markup stays as it is, None is nothing."""
    if isinstance(value, Markup):
        return value
    return Markup("" if value is None else html.escape(clean_text(str(value))))


def clean_text(text: str) -> str:
    """Return a text in which everything can be seen, and that can be written as UTF-8.

    Control characters are shown as their pictures or code points, halves of surrogate pairs as the
    replacement character.
    """
    text = _SURROGATE.sub("\ufffd", text)
    return _CONTROL.sub(_show_control, text)


def shorten(text: object, most: int = 120) -> str:
    """Return a text of at most about so many characters that says how many it left out."""
    whole = str(text)
    if len(whole) <= most:
        return whole
    return f"{whole[:most]}… ({len(whole) - most:,} more characters)"


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Return parts one after another, each escaped unless it is markup."""
    return Markup(str(escape(between)).join(escape(part) for part in parts))


def element(name: str, /, *children: object, **attributes: Any) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: its contents; texts are escaped.
        attributes: `class_` for `class`, `data_v` for `data-v`; None and False are left out, True
            is an attribute without a value.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{html.escape(clean_text(str(value)))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    start = f"<{name}{written}>"
    return Markup(start if name in _VOID and not children else f"{start}{join(children)}</{name}>")


def close_void(name: str, /, **attributes: Any) -> Markup:
    """Return an SVG shape, closed within its tag."""
    return Markup(f"{element(name, **attributes)[:-1]}/>")


def make_anchor(text: str, taken: set[str] | None = None) -> str:
    """Return an id for a heading: letters, digits and hyphens; never one that is taken.

    Args:
        text: of the heading.
        taken: ids of the page; the new one is added.
    """
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "section"
    anchor, number = base, 1
    while taken is not None and anchor in taken:
        number += 1
        anchor = f"{base}-{number}"
    if taken is not None:
        taken.add(anchor)
    return anchor


def _show_control(found: re.Match[str]) -> str:
    code = ord(found.group())
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"
