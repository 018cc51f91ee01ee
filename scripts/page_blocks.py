"""Read the fenced blocks of the pages, and write docs/not-run.md: the commands that no test runs.

    .venv/bin/python scripts/page_blocks.py > docs/not-run.md

What a block is, its fence says. `sh` and `python` are executed by a test (`tests/docs`), from the
top of a page to its bottom; one with a title is not, and the title says where it belongs: to a
cluster, a cloud, or a machine that it sets up. `yaml` is lines of the recipe that the title names,
or of conf/flights.yaml; `console` a command and what it prints. `text`, `json` and indented blocks
are shown and not executed.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("sh", "console", "python", "yaml", "text", "json")
_PATTERNS = ("README.md", "docs/**/*.md", "deploy/*/README.md")
_FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"]*)")?\n'
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_INTRODUCTION = """# Commands that no test runs

Every command and snippet of these pages is executed by a test, except for those below: they need a
cluster, a cloud or GPUs, do not end by themselves, or change the machine that they run on. They are
parsed: shells by `bash -n`, lines of `headrace` by its own command line, Python by its compiler.
What the pages of `deploy/` have is parsed by `tests/deploy`, and they say what else was tested.
This page is generated: `scripts/page_blocks.py`.
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: path of the page in the repository.
        line: number of the line of its fence.
        language: what the fence says.
        title: what it says of where the block belongs; "" for nothing.
        text: the lines, without the indent of a list.
    """

    page: str
    line: int
    language: str
    title: str
    text: str


def main() -> None:
    """Print the page."""
    sys.stdout.write(write_list())


def write_list() -> str:
    """Return the page of what no test runs, as Markdown."""
    parts = [_INTRODUCTION]
    for page in list_pages():
        blocks = [block for block in read_blocks(page) if is_listed(block)]
        if not blocks:
            continue
        inside = page.startswith("docs/")
        name = page.removeprefix("docs/")
        parts.append(f"## {name}\n")
        parts.append(f"[{name}]({name if inside else f'../{page}'})\n")
        for block in blocks:
            parts.append(f"**{block.title}**\n")
            parts.append(f"```text\n{block.text.rstrip()}\n```\n")
    return "\n".join(parts)


def is_listed(block: Block) -> bool:
    """Return whether a block is a command or a program that no test runs."""
    return block.language in ("sh", "python") and bool(block.title)


def list_pages() -> list[str]:
    """Return the pages that people read, as paths in the repository."""
    paths = {path for pattern in _PATTERNS for path in ROOT.glob(pattern)}
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def read_blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        lines = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        yield Block(page, line, match["language"], match["title"] or "", lines)


if __name__ == "__main__":
    main()
