"""Every command and snippet of the pages is right: read, parsed, or executed, by what it is."""

import ast
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from headrace.cli import app
from tests.docs.pages import (
    RUN_ELSEWHERE,
    list_blocks,
    name_block,
    page_blocks,
    read_recipe,
)
from tests.e2e.running import BIN, ROOT

# What a line of an indented block begins with where it is a command, which belongs into a fence.
COMMANDS = (
    "make", "pip", "uv", "headrace", "export", "docker", "kubectl", "cd", "spark-submit", "mlflow",
    "python", "git", "curl", "airflow", "$",
)  # fmt: skip
GENERATED_USAGE = ("docs/cli.md",)
"""Pages that have the usage of commands, which the command line itself wrote."""
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|N")


def test_every_fence_is_read() -> None:
    """A fence of another form would be a block that no test looks at."""
    for page in page_blocks.list_pages():
        fences = re.findall(r"^ *```.*$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        blocks = list(page_blocks.read_blocks(page))
        assert len(fences) == 2 * len(blocks), page
        languages = {block.language for block in blocks}
        assert languages <= {*page_blocks.LANGUAGES}, page


@pytest.mark.parametrize(
    "page", [page for page in page_blocks.list_pages() if not page.startswith("deploy/")]
)
def test_commands_are_in_fences(page: str) -> None:
    """Indented blocks are shown and not executed; those of deploy/ are parsed by tests/deploy."""
    text = re.sub(
        r"^ *```.*?^ *```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S
    )
    first = [line.split()[0] for line in re.findall(r"(?<=\n\n) {4}(\S.*)$", text, re.MULTILINE)]
    assert [word for word in first if word in COMMANDS or "=" in word] == []


@pytest.mark.parametrize("block", list_blocks("yaml"), ids=name_block)
def test_recipe_lines_are_read(block: Any) -> None:
    read_recipe(block)


@pytest.mark.parametrize("block", list_blocks("json"), ids=name_block)
def test_json_is_json(block: Any) -> None:
    json.loads("{" + block.text + "}")


@pytest.mark.parametrize("block", list_blocks("python"), ids=name_block)
def test_python_is_python(block: Any) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("page", page_blocks.list_pages())
def test_shell_is_shell(page: str) -> None:
    blocks = [block.text for block in page_blocks.read_blocks(page) if block.language == "sh"]
    done = subprocess.run(
        ["bash", "-n"], input="\n".join(blocks), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "page", [page for page in page_blocks.list_pages() if page not in GENERATED_USAGE]
)
def test_command_lines_are_those_of_the_program(page: str) -> None:
    for block in page_blocks.read_blocks(page):
        if block.language in ("sh", "text", "console"):
            for words in find_command_lines(block.text):
                parse_command_line(words)


def test_wrong_command_lines_are_noticed() -> None:
    (words,) = find_command_lines("A=1 headrace train RECIPE --rank 2  # two\n")
    assert words == ["train", "RECIPE", "--rank", "2"]
    with pytest.raises(Exception, match="rank"):
        parse_command_line(words)
    parse_command_line(["train", "RECIPE", "--ranks", "N"])


def find_command_lines(text: str) -> list[list[str]]:
    """Return the words after `headrace` of each line that calls one of its commands."""
    names = {*get_command(app).commands}
    text = re.sub(r"<<'(\w+)'\n.*?^\1$", "", text.replace("\\\n", " "), flags=re.M | re.S)
    lines = []
    for line in text.splitlines():
        match = re.match(r"^(?:\$ |\w+=\S+ )*(?:\S+ && )*headrace +(?P<rest>[a-z].*)$", line)
        if match is None:
            continue
        rest = re.split(r" \|\| | && | \| ", match["rest"])[0]
        words = shlex.split(re.sub(r"[\[\]{}](?![^ ]*[\"'])", "", rest), comments=True)
        if words and words[0] in names:
            lines.append([word for word in words if word != "OPTIONS"])
    return lines


def parse_command_line(words: list[str]) -> None:
    """Parse a command as `headrace` does; a word such as N stands for a number."""
    command = get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    filled = ["1" if _PLACEHOLDER.fullmatch(word) else word for word in words]
    command.make_context("headrace", filled)


@pytest.mark.parametrize("block", list_blocks("console"), ids=name_block)
def test_what_is_shown_is_printed(block: Any, tmp_path: Path) -> None:
    first, _, shown = block.text.partition("\n")
    done = subprocess.run(
        ["bash", "-c", first.removeprefix("$ ")], capture_output=True, text=True, check=False,
        cwd=ROOT, env=make_environment(tmp_path),
    )  # fmt: skip
    assert shown.strip() in done.stdout + done.stderr


def list_executed_pages() -> list[str]:
    """Return the pages that have a block that is executed."""
    pages = []
    for page in page_blocks.list_pages():
        blocks = [b for b in page_blocks.read_blocks(page) if b.language in ("sh", "python")]
        if page not in RUN_ELSEWHERE and any(not block.title for block in blocks):
            pages.append(page)
    return pages


def write_script(page: str) -> str:
    """Return a shell that runs a page: Python blocks with no command between are one program."""
    parts = ["set -euo pipefail"]
    blocks = [
        block
        for block in page_blocks.read_blocks(page)
        if block.language in ("sh", "python") and not block.title
    ]
    program: list[str] = []
    for block in [*blocks, None]:
        if block is not None and block.language == "python":
            program.append(block.text)
            continue
        if program:
            parts.append("python - <<'END_OF_PROGRAM'\n" + "\n".join(program) + "END_OF_PROGRAM")
            program = []
        if block is not None:
            parts.append(block.text)
    return "\n".join(parts)


def make_environment(folder: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return {
        **inherited,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HEADRACE_WORKDIR": str(folder),
        "HOME": str(folder),
    }


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize("page", list_executed_pages())
def test_every_command_works(page: str, tmp_path: Path) -> None:
    """One shell runs the page from top to bottom, and stops at the first command that fails."""
    done = subprocess.run(
        ["bash", "-x", "-c", write_script(page)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=make_environment(tmp_path),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
