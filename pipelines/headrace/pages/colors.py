"""The colours of pages and figures, for light and dark, chosen to be told apart by everyone.

Six colours for what is compared: each stands out from the background by 3.3 : 1 or more (WCAG 2.2
asks for 3 : 1), and two of them differ by 20 or more (CIE76) for people who see all colours and,
simulated after Machado, Oliveira and Fernandes (2009), for those without red, green or blue cones.
A test computes both. Lines also differ in their dashes.
"""

from collections.abc import Sequence

LIGHT = ("#3b47dd", "#ca7b12", "#1ba060", "#983da5", "#4d3a00", "#968199")
DARK = ("#6f83ff", "#ee7538", "#2fe6aa", "#f5a0ea", "#f7f060", "#827876")
LIGHT_BACKGROUND, DARK_BACKGROUND = "#ffffff", "#14171c"
SPLIT_COLORS = {"train": 0, "validation": 1, "test": 2}
"""Which of the colours is a split's, on all pages."""
DASHES = ("", "6 3", "2 2", "8 3 2 3")


def get_color(number: int) -> str:
    """Return the CSS colour of a position; there are six, and they repeat."""
    return f"var(--c{number % len(LIGHT)})"


def get_dashes(number: int) -> str:
    """Return the dashes of a line whose colour may be another line's as well."""
    return DASHES[number // len(LIGHT) % len(DASHES)]


def write_variables(colors: Sequence[str]) -> str:
    """Return the CSS variables of the colours."""
    return "".join(f"--c{number}:{color};" for number, color in enumerate(colors))
