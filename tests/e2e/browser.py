"""Open pages in Debian's Chromium as readers do: at several widths, light and dark, and printed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WIDTHS = (390, 1280, 1920)
"""Pixels: a phone, a notebook, a large screen."""
MODES = ("light", "dark")
_MILLISECONDS = 120_000  # of any one step: test machines are busy


def find_chromium() -> str:
    """Return Chromium's path; a test fails where there is none, as `make test-all` needs it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "Chromium is not installed: make setup-browser"
    return found


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start Chromium without a window."""
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=sandbox, timeout=_MILLISECONDS
        )
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page that is open.

    Attributes:
        page: of Playwright.
        errors: what the browser said of it: errors of scripts, refusals of its policy.
    """

    page: Any
    errors: list[str] = field(default_factory=list)

    def measure_overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")

    def list_faults(self) -> list[str]:
        """Return what axe-core finds to hinder people: each rule with its first element."""
        import axe_playwright_python

        # Past the page's policy, as a test may and a script of the page may not.
        axe = Path(axe_playwright_python.__file__).parent / "axe.min.js"
        self.page.evaluate(axe.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{v['id']} ({v['impact']}), {len(v['nodes'])} elements: {v['nodes'][0]['html'][:160]}"
            for v in found["violations"]
        ]


@contextmanager
def open_page(
    browser: Any, address: str, width: int = 1280, mode: str = "light", **options: Any
) -> Iterator[Opened]:
    """Open an address in a window of its own.

    Args:
        browser: of `open_browser`.
        address: `file:…`, or HTML itself.
        width: of the window, pixels.
        mode: which colours the system asks for.
        options: further ones of Playwright's context.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=mode, **options
    )
    context.set_default_timeout(_MILLISECONDS)
    opened = Opened(context.new_page())
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on(
        "console",
        lambda line: line.type in {"error", "warning"} and opened.errors.append(line.text),
    )
    if address.startswith("file:"):
        opened.page.goto(address)
    else:
        opened.page.set_content(address)
    yield opened
    context.close()
