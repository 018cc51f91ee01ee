"""Lines of results are broken between words, and never where they are copied as one."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from headrace.commands.line_wrap import wrap_line


def test_it_goes_on_below_the_text() -> None:
    line = (
        "Label          weather: classes; 5 classes: 'sun' 48.9%, 'fog' 28.1%, 'rain' 17.7%, 'snow'"
    )
    assert wrap_line(line, 80) == [
        "Label          weather: classes; 5 classes: 'sun' 48.9%, 'fog' 28.1%, 'rain'",
        "               17.7%, 'snow'",
    ]
    assert wrap_line("a line without a label that is long", 20) == [
        "a line without a", "label that is long",
    ]  # fmt: skip
    assert wrap_line("short", 80) == ["short"]


def test_paths_that_fit_no_line_are_left_to_the_terminal() -> None:
    line = f"Report   /{'x' * 90}/report.html of a build"
    assert wrap_line(line, 80) == [line]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text("ab 日é", max_size=12), max_size=30), st.integers(20, 120))
def test_no_word_is_lost_and_no_line_too_wide(words: list[str], width: int) -> None:
    line = "Label  " + " ".join(words)
    lines = wrap_line(line, width)
    assert " ".join(lines).split() == line.split()
    assert len(lines) == 1 or max(map(cell_len, lines)) <= width
