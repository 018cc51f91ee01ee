"""Read a page as a browser does: its elements, its texts, and whether every element is closed."""

import re
from html.parser import HTMLParser

from hypothesis import strategies as st

VOID = {"br", "col", "img", "input", "meta"}

EVIL = "<script>alert('x')</script>&\"'"
STRANGE = (
    EVIL, "</style><img src=x onerror=alert(1)>", "javascript:alert(1)", "]]>", "<!--",
    "&lt;b&gt;", "x" * 2000, "عمر العميل", "\u202egpj.exe", "👩‍👩‍👧‍👦 🏳️‍🌈", "\ud800",
    "\x00\x07", "a\nb\tc", "", "{{7*7}}", "%s", "日本語" * 50, "$x^2$",
)  # fmt: skip
"""Texts that data may hold: markup, very long ones, right-to-left, emoji, halves of surrogates."""

TEXTS = st.sampled_from(STRANGE) | st.text(max_size=40)
NUMBERS = st.floats() | st.integers(-(10**18), 10**18)


class Reader(HTMLParser):
    """The elements of a page with their attributes, and its texts without the script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.titles: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"script", "style"}:
            return
        (self.titles if self._open and self._open[-1] == "title" else self.texts).append(data)

    @property
    def text(self) -> str:
        """What a reader sees, on one line."""
        return re.sub(r"\s+", " ", " ".join(self.texts)).strip()

    def find(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements with a name."""
        return [attributes for name, attributes in self.elements if name == tag]


def check_page(page: str) -> Reader:
    """Assert what holds for every page: one script, nothing loaded, UTF-8, closed elements."""
    page.encode()
    reader = Reader(page)
    assert len(reader.find("script")) == 1
    for name, attributes in reader.elements:
        assert not any(key.startswith("on") for key in attributes), (name, attributes)
        address = attributes.get("src") or attributes.get("href") or "#"
        # A download lies beside the page and is not loaded with it.
        is_beside = (
            name == "a" and "download" in attributes and not re.match(r"[\w+.-]*:|/", address)
        )
        assert address.startswith(("#", "data:")) or is_beside, (name, address)
        assert name not in {"iframe", "object", "embed", "form", "base", "link"}
    anchors = [a["id"] for _, a in reader.elements if "id" in a]
    assert len(anchors) == len(set(anchors))
    assert not re.search(r"url\(|@import", page)
    return reader
