"""Put a page together: title, contents, sections; with its style, its script and its policy.

The policy (Content-Security-Policy) lets the page load nothing and run the one script whose digest
it names, so that markup that slipped in from data would still do nothing.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Protocol

import headrace
from headrace.pages import colors
from headrace.pages.markup import Markup, element, join, make_anchor, shorten


class Element(Protocol):
    """A part of a section that renders itself."""

    def render(self, name: str = "") -> Markup:
        """Return the part as HTML; `name` is the section's."""


@dataclass(frozen=True)
class Section:
    """A section of a page, with its entry in the contents.

    Attributes:
        title: its heading.
        parts: tables, figures and other elements, `Markup`, or text of a paragraph; None is
            left out, and so is a section without parts.
        reading: one sentence that says how to read it, where its parts do not.
        short: the entry in the contents; the title by default.
    """

    title: str
    parts: Sequence["Element | Markup | str | None"]
    reading: str = ""
    short: str = ""

    def render(self, anchor: str) -> Markup:
        """Return the section as HTML."""
        name = shorten(self.title)
        rendered = [_render_part(part, name) for part in self.parts if part is not None]
        return element(
            "section",
            element("h2", name, id=f"{anchor}-title"),
            element("p", self.reading, class_="r") if self.reading else "",
            *rendered,
            id=anchor,
            tabindex="-1",
            aria_labelledby=f"{anchor}-title",
        )


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: of the page and of its window.
        sections: in their order.
        facts: name -> value, below the title: what the page is about.
        subtitle: a line below the title.
    """

    title: str
    sections: Sequence[Section]
    facts: Mapping[str, object] = field(default_factory=dict)
    subtitle: str = ""

    def render(self) -> str:
        """Return the page: HTML that is complete in itself."""
        title = shorten(self.title, 160)
        taken = {"top", "contents"}
        shown = [s for s in self.sections if any(part is not None for part in s.parts)]
        anchors = [make_anchor(section.short or section.title, taken) for section in shown]
        entries = (
            element("li", element("a", shorten(s.short or s.title, 40), href=f"#{anchor}"))
            for s, anchor in zip(shown, anchors, strict=True)
        )
        contents = element(
            "nav",
            element("details", element("summary", "Contents"), element("ol", *entries), open=True),
            aria_label="Contents",
        )
        header = element(
            "header",
            element(
                "div",
                element("h1", title),
                element("p", self.subtitle, class_="d") if self.subtitle else "",
            ),
        )
        facts = render_facts(self.facts) if self.facts else ""
        sections = (s.render(anchor) for s, anchor in zip(shown, anchors, strict=True))
        body = element(
            "body",
            element("a", "Skip to the contents of the page", href="#top", class_="skip"),
            element(
                "div",
                header,
                contents,
                element("main", facts, *sections, id="top", tabindex="-1"),
                element(
                    "footer", f"Written by Headrace {headrace.__version__}; complete in this file."
                ),
                class_="frame",
            ),
            element("script", _get_script()),
        )
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", http_equiv="Content-Security-Policy", content=_get_policy()),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", _get_style()),
        )
        return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def render_facts(facts: Mapping[str, object]) -> Markup:
    """Return names and values below each other."""
    pairs = (
        join((element("dt", shorten(k, 80)), element("dd", shorten(v, 400))))
        for k, v in facts.items()
    )
    return element("dl", *pairs, class_="facts")


def _render_part(part: "Element | Markup | str", name: str) -> Markup:
    if isinstance(part, Markup):
        return part
    return element("p", part) if isinstance(part, str) else part.render(name)


@cache
def _get_script() -> Markup:
    return Markup(resources.files("headrace.pages").joinpath("script.js").read_text("utf-8"))


@cache
def _get_policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_get_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@cache
def _get_style() -> Markup:
    text = resources.files("headrace.pages").joinpath("style.css").read_text("utf-8")
    light = f"color-scheme:light;{colors.write_variables(colors.LIGHT)}"
    dark = (
        "color-scheme:dark;--bg:#14171c;--panel:#1d2229;--ink:#e6e9ee;--dim:#a9b3be;--line:#39414c;"
        "--link:#7ab8ff;--error:#ff9088;--warning:#f0b840;--ok:#62d673;--info:#7ab8ff;"
        f"{colors.write_variables(colors.DARK)}"
    )
    start, _, _ = text.partition("LIGHT}")
    base = start.removeprefix(":root{")
    replaced = text.replace("LIGHTVARS", base + light).replace("DARKVARS", dark)
    return Markup(replaced.replace("LIGHT}", f"{light}}}").strip())
