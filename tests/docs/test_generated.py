"""Generated pages are up to date, and have what they promise."""

import re
import subprocess
import sys

import pytest

from tests.docs.pages import recipe_examples
from tests.e2e.running import ROOT
from tests.scripts.loading import load_script

DOCS = ROOT / "docs"
PAGES = {
    "recipe.md": ["scripts/recipe_reference.py"],
    "cli.md": ["scripts/cli_reference.py"],
    "python.md": ["scripts/python_reference.py"],
    "metrics.md": ["scripts/result_reference.py", "metrics"],
    "artifacts.md": ["scripts/result_reference.py", "artifacts"],
    "not-run.md": ["scripts/page_blocks.py"],
}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_up_to_date(page: str) -> None:
    done = subprocess.run(
        [sys.executable, *PAGES[page]], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == (DOCS / page).read_text(encoding="utf-8"), "run: make docs"


def test_make_writes_every_generated_page() -> None:
    (target,) = re.findall(r"^docs:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    for page, (script, *_) in PAGES.items():
        assert f"docs/{page}" in target
        assert script in target


@pytest.mark.parametrize("page", PAGES)
def test_rows_of_a_table_have_its_columns(page: str) -> None:
    """A bar in a text would begin a cell (CleverCloud/clever-tools#1143)."""
    columns = 0
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            columns = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        columns = columns or cells
        assert cells == columns, line


def test_every_key_has_an_example_and_is_explained_somewhere() -> None:
    text = (DOCS / "recipe.md").read_text(encoding="utf-8")
    for key in ("schedule", "canonical_shards", "not_worse_by", "max_restarts"):
        assert f"| `{key}` |" in text
    assert "| `patience` | integer ≥ 1 | `3` | `patience: 8` |" in text
    rows = re.findall(r"^\| `(\w+)` \| .*? \| `(\w+): ", text, re.MULTILINE)
    assert len(rows) > 300
    assert [key for key, shown in rows if key != shown] == []


def test_examples_are_read_back_as_they_were_written() -> None:
    for value in (1e-6, 1.0, 1e6, "00501", "a: b", "x > 1", None, [None, 0.5], {"a": ["-1", ""]}):
        assert recipe_examples.format_example("key", value).startswith("key: ")
    assert recipe_examples.format_example("l1", 1e-6) == "l1: 1.0e-06"
    assert recipe_examples.format_example("start", "2026-11-01") != "start: 2026-11-01"


def test_public_names_are_found_without_a_list() -> None:
    """Names come from the page of what is promised, and classes from what functions return."""
    python = load_script("python_reference")
    names = [name.path for name in python.collect_names()]
    surface = (DOCS / "public-surface.md").read_text(encoding="utf-8")
    promised = re.findall(r"^\| `(headrace\.[\w.]+)`", surface, re.MULTILINE)
    assert {*promised} <= {*names}
    assert "headrace.lake.data_file.DataFile" in names
    assert "headrace.recipe.sections.Recipe" not in names
    with pytest.raises(LookupError, match="NoSuchName"):
        python.find_name("headrace.lake.NoSuchName")


def test_every_command_is_on_the_page() -> None:
    cli = load_script("cli_reference")
    names = [name for name, _ in cli.list_commands()]
    assert {"headrace", "headrace train", "headrace lake flights"} <= {*names}
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert [name for name in names if f"\n## {name}\n" not in text] == []
