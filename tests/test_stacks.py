"""The command that tests other stacks: what it reads of pytest, what it writes into docs/."""

import importlib.util
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def load() -> Any:
    spec = importlib.util.spec_from_file_location("stacks", ROOT / "scripts/test_stack.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STACKS = load()


@pytest.mark.parametrize(
    ("output", "closing"),
    [
        ("....\n12 passed in 3.00s\n", "12 passed in 3.00s"),
        ("= 1 failed, 2 passed in 63.0s (0:01:03) =\n", "1 failed, 2 passed in 63.0s (0:01:03)"),
        (
            "FAILED tests/a.py::test_b - assert 0\nERROR tests/c.py\n"
            "1 failed, 9 passed, 1 error in 1s\n",
            "1 failed, 9 passed, 1 error in 1s: tests/a.py::test_b, tests/c.py",
        ),
        ("9 passed in a text of a test\nno tests ran in 0.1s\n1 error in 2s", "1 error in 2s"),
        ("Segmentation fault\n", "no closing line, exit status 139"),
    ],
)  # fmt: skip
def test_closing_lines(output: str, closing: str) -> None:
    assert STACKS.find_closing_line(output, 139) == closing


def test_a_result_replaces_the_earlier_one_of_its_stack_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STACKS, "RESULTS", tmp_path / "stacks.json")
    monkeypatch.setattr(STACKS, "TABLE", tmp_path / "stacks.md")
    oldest = {"stack": "oldest", "python": "3.11", "spark": ""}
    newest = {"stack": "newest", "python": "3.12", "spark": "3.5"}
    versions = {"pyspark": "3.5.7"}
    STACKS.record(newest | {"closing": "not run: no Python 3.12 on this machine", "versions": {}})
    STACKS.record(oldest | {"closing": "1 failed in 1s", "versions": versions})
    STACKS.record(oldest | {"closing": "1 passed in 1s", "versions": versions})
    cells = json.loads((tmp_path / "stacks.json").read_text())
    assert [(c["stack"], c["closing"][:8]) for c in cells] == [
        ("oldest", "1 passed"), ("newest", "not run:"),
    ]  # fmt: skip
    rows = (tmp_path / "stacks.md").read_text().splitlines()[-2:]
    assert rows[0].startswith("| oldest | 3.11 |") and rows[0].endswith("| 1 passed in 1s |")
    assert "| 3.5.7 |" in rows[0]
    assert rows[1].startswith("| newest, Spark 3.5 | 3.12 |")


def test_cells_that_were_not_run_or_not_wholly_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STACKS, "RESULTS", tmp_path / "stacks.json")
    monkeypatch.setattr(STACKS, "TABLE", tmp_path / "stacks.md")
    assert STACKS.main(["oldest", "--python", "3.13", "--reason", "no wheel of scipy"]) == 0
    part = {"stack": "locked", "python": "3.13", "spark": "", "tests": "tests/e2e"}
    STACKS.record(part | {"closing": "3 passed in 9s", "versions": {}})
    rows = (tmp_path / "stacks.md").read_text().splitlines()[-2:]
    assert rows[0].endswith("| not run: no wheel of scipy |")
    assert rows[1].endswith("| 3 passed in 9s (of tests/e2e) |")


def test_the_table_in_docs_is_that_of_the_results() -> None:
    cells = json.loads((ROOT / "docs/stacks.json").read_text(encoding="utf-8"))
    assert (ROOT / "docs/stacks.md").read_text(encoding="utf-8") == STACKS.format_table(cells)


def test_an_older_spark_is_a_constraint_of_uv() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    held = tomllib.loads(STACKS.constrain(text, "3.5"))
    assert held["tool"]["uv"]["constraint-dependencies"] == ["pyspark==3.5.*"]
    assert STACKS.constrain(text, "") == text


def test_every_requirement_has_a_lowest_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [Requirement(line) for group in groups for line in group]
    without = [
        requirement.name
        for requirement in requirements
        if requirement.name != project["name"]
        and not {"==", ">=", "~="} & {part.operator for part in requirement.specifier}
    ]
    assert without == []
