"""Render comments of the proposed recipe: wrapped texts, reasons behind lines, unused sections."""

import textwrap
from collections.abc import Iterable

from headrace.propose.yaml_text import make_printable

_WIDTH = 100


def render_entry(text: str, reason: str, indent: int) -> list[str]:
    """Return a line with the reason behind it, or above it where the line would be too long."""
    line = " " * indent + text
    if not reason:
        return [line]
    with_reason = f"{line} # {make_printable(reason)}"
    return [with_reason] if len(with_reason) <= _WIDTH else [*render_comment(reason, indent), line]


def render_reasons(reasons: Iterable[str]) -> list[str]:
    """Return the reasons as comments, each from a new line."""
    return [line for reason in reasons for line in render_comment(reason)]


def render_comment(text: str, indent: int = 0, *, wrap: bool = True) -> list[str]:
    """Return a text as lines of a comment, wrapped at the width of a line unless told not to."""
    prefix = " " * indent + "# "
    printable = make_printable(text)
    if not wrap:
        return [prefix + printable]
    prefix += " " * (len(printable) - len(printable.lstrip()))
    return textwrap.wrap(
        printable.lstrip(), _WIDTH, initial_indent=prefix, subsequent_indent=prefix,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def comment_out(lines: Iterable[str]) -> list[str]:
    """Return the lines of a section as comments."""
    return [f"  # {line.strip()}" if not line.strip().startswith("#") else line for line in lines]
