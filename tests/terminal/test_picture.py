"""The picture of the terminal in the documents is what a terminal showed.

It is written by `make screenshots`, of a run of a public table; without that nothing is.
"""

import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from vega_datasets import local_data

from tests.e2e.running import BIN
from tests.mlflow_store import copy_empty_store
from tests.terminal.tmux import COLUMNS, open_screen

pytestmark = [pytest.mark.e2e, pytest.mark.long]

IMAGES = Path(__file__).parents[2] / "docs/images"
SECONDS = 900


def draw_terminal(lines: list[str], title: str) -> str:
    """Draw lines with escape sequences as an SVG that loads nothing."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines)))
    svg = console.export_svg(title=title)
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def test_the_screenshot_of_a_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = request.config.getoption("--screenshots")
    if not target:
        pytest.skip("pictures are written by make screenshots")
    folder = Path("/tmp/cars")  # it is shown
    folder.mkdir()
    try:
        copy_empty_store(folder / "var/mlflow/mlflow.db")
        local_data.cars().to_csv(folder / "cars.csv", index=False)
        with open_screen(folder) as screen:
            screen.type("headrace init cars.csv --label Miles_per_Gallon")
            screen.wait_for_prompt(SECONDS)
            screen.clear()
            screen.type("headrace run cars.yaml")
            rows = screen.wait_for_prompt(SECONDS)
            assert "Verdict passed" in "\n".join(rows)
            shown = [line for line in screen.read_colored() if line.strip()][:-1]
            colored = [line.replace(f"{BIN}/", ".venv/bin/") for line in shown]
    finally:
        shutil.rmtree(folder)
    svg = draw_terminal(colored, "headrace run cars.yaml")
    Path(target, "terminal.svg").write_text(svg, encoding="utf-8")


def test_the_picture_loads_nothing_and_names_what_a_run_shows() -> None:
    svg = (IMAGES / "terminal.svg").read_text(encoding="utf-8")
    assert not re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?https?:", svg)
    text = re.sub(r"<[^>]+>", "\n", svg).replace("&#160;", " ")
    for word in (
        "headrace run cars.yaml",
        "prepare",
        "train",
        "evaluate",
        "Verdict passed",
        "Next",
    ):
        assert word in text
