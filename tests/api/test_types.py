"""Checkers of types see what the notebook's interface returns, and what it does not take."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import ROOT

SNIPPET = """
import headrace

dataset = headrace.open("flights", version=3)
reveal_type(dataset)
reveal_type(dataset.version)
reveal_type(dataset.rows)
reveal_type(dataset.ledger)
reveal_type(dataset.ledger.read)
reveal_type(dataset.report())
result = headrace.run({"name": "flights"}, stages=["prepare", "train"])
reveal_type(result)
reveal_type(result.metrics)
reveal_type(result.passed)
reveal_type(result.model)
reveal_type(result.report.html)
reveal_type(headrace.__version__)
dataset.to_pandas("tran")
dataset.to_arrow("train", columns=3)
headrace.open()
headrace.run("r.yaml", stage="train")
"""
REVEALED = [
    "headrace.api.dataset.Dataset", "int", "dict[str, int]", "headrace.api.ledger.RowLedger",
    "int", "headrace.api.html.Report", "headrace.api.result.RunResult", "dict[str, float]",
    "bool | None", "headrace.api.model.Model", "str", "str",
]  # fmt: skip
REFUSED = [
    'Argument 1 to "to_pandas" of "Dataset" has incompatible type "Literal[\'tran\']"',
    'Argument "columns" to "to_arrow" of "Dataset" has incompatible type "int"',
    "Missing positional argument",
    'Unexpected keyword argument "stage"',
]


@pytest.mark.long
def test_mypy_sees_the_types(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir",
            str(tmp_path / "cache"), "--follow-imports", "silent", "--ignore-missing-imports",
            "--config-file", os.devnull, str(snippet),
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "pipelines")},
    )  # fmt: skip
    lines = [line.partition("snippet.py:")[2] for line in done.stdout.splitlines()]
    revealed = [
        line.partition('Revealed type is "')[2]
        .rstrip('"')
        .replace("builtins.", "")
        .replace("Union[bool, None]", "bool | None")
        for line in lines
        if "Revealed type" in line
    ]
    assert revealed == REVEALED, done.stdout + done.stderr
    errors = [line for line in lines if " error: " in line]
    assert len(errors) == len(REFUSED), errors
    for expected, line in zip(REFUSED, errors, strict=True):
        assert expected in line


def test_the_package_says_that_it_is_typed() -> None:
    package = ROOT / "pipelines" / "headrace"
    assert (package / "py.typed").exists()
    import headrace

    stub = (package / "__init__.pyi").read_text()
    declared = [name for name in headrace.__all__ if f" as {name}\n" in stub or f"{name}:" in stub]
    assert declared == list(headrace.__all__)
