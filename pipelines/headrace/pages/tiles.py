"""Show what a reader looks for first: headline numbers, and alerts by severity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.pages.markup import Markup, element, escape, join, shorten

Severity = Literal["error", "warning", "info", "ok"]
_ORDER: dict[str, int] = {"error": 0, "warning": 1, "info": 2, "ok": 3}
_SIGNS = {"error": "✕ ", "warning": "▲ ", "info": "● ", "ok": "✓ "}
_WORDS = {"error": "Error", "warning": "Warning", "info": "Note", "ok": "Passed"}
MAX_ALERTS = 60


@dataclass(frozen=True)
class Tile:
    """A headline number.

    Attributes:
        label: what it is.
        value: the number as text, with its unit.
        lines: what belongs to it: interval, baselines.
    """

    label: str
    value: str
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Tiles:
    """Headline numbers beside each other, with a sentence on how to read them."""

    tiles: Sequence[Tile]
    reading: str

    def render(self, name: str = "") -> Markup:
        """Return the numbers as HTML."""
        items = (
            element(
                "li",
                element("span", shorten(tile.label, 80)),
                element("b", shorten(tile.value, 40)),
                *(element("small", shorten(line, 160)) for line in tile.lines),
            )
            for tile in self.tiles
        )
        return join((element("p", self.reading, class_="r"), element("ul", *items, class_="tiles")))


@dataclass(frozen=True)
class Alert:
    """Something that a reader should know.

    Attributes:
        severity: how bad it is.
        text: what it is.
        word: instead of the severity's own: `failed`, `drifted`.
    """

    severity: Severity
    text: str
    word: str = ""


@dataclass(frozen=True)
class Alerts:
    """Alerts, the most severe first, with a sentence on how to read them.

    Attributes:
        alerts: in the order within a severity.
        reading: how to read them.
        none: what is said where there are none.
        most: how many are shown; the others are counted.
    """

    alerts: Sequence[Alert]
    reading: str
    none: str = "There are none."
    most: int = MAX_ALERTS

    def render(self, name: str = "") -> Markup:
        """Return the alerts as HTML."""
        ordered = sorted(self.alerts, key=lambda alert: _ORDER[alert.severity])
        items = [_render_alert(alert) for alert in ordered[: self.most]]
        left = len(ordered) - len(items)
        return join(
            (
                element("p", self.reading, class_="r"),
                element("ul", *items, class_="alerts") if items else element("p", self.none),
                element("p", f"{left:,} more, none more severe, are not shown.", class_="d")
                if left > 0
                else "",
            )
        )


def render_word(severity: Severity, word: str) -> Markup:
    """Return a word with the sign and the colour of a severity."""
    sign = element("span", _SIGNS[severity], aria_hidden="true")
    return element("span", sign, word, class_=f"word {severity}")


def _render_alert(alert: Alert) -> Markup:
    word = render_word(alert.severity, alert.word or _WORDS[alert.severity])
    return element("li", word, escape(f": {shorten(alert.text, 600)}"), class_=alert.severity)
