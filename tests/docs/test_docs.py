"""The pages in docs/ say what is so: the reference is up to date, every command of them works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import BIN, ROOT

DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The commands of a page, in their order, without the indent of a list."""
    return [
        re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        for indent, text in _BLOCK.findall(page.read_text())
    ]


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/recipe_reference.py"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout == (DOCS / "recipe.md").read_text(), (
        "run: .venv/bin/python scripts/recipe_reference.py > docs/recipe.md"
    )


def test_every_key_is_explained_somewhere() -> None:
    text = (DOCS / "recipe.md").read_text()
    for key in ("schedule", "canonical_shards", "not_worse_by", "max_restarts"):
        assert f"| `{key}` |" in text


@pytest.mark.parametrize("page", ["README.md", *sorted(p.name for p in DOCS.glob("*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page if page == "README.md" else DOCS / page
    text = file.read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text):
        assert (file.parent / target).exists(), target
    anchors = {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings(text)}
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in anchors, anchor


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize(
    "page", sorted(p.name for p in DOCS.glob("*.md") if "```sh\n" in p.read_text())
)
def test_every_command_works(page: str, tmp_path: Path) -> None:
    """One shell runs the page from top to bottom, and stops at the first command that fails."""
    script = "set -euo pipefail\n" + "\n".join(blocks(DOCS / page))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        ["bash", "-x", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **inherited,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HEADRACE_WORKDIR": str(tmp_path),
            "HOME": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stderr[-4000:]
