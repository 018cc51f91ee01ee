"""The notebooks of docs/ run from top to bottom, and were executed as they stand there."""

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.e2e.running import ROOT
from tests.scripts.loading import load_script

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def list_outputs(notebook: Any) -> list[list[dict[str, Any]]]:
    """List what each code cell shows."""
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{ROOT}/pipelines{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    written = nbformat.read(file, as_version=4)
    executed = load_script("execute_notebooks").execute_notebook(file, tmp_path)
    for then, now in zip(list_outputs(written), list_outputs(executed), strict=True):
        if any(list_outputs(written)):  # `make notebooks` wrote what they show
            assert [output.output_type for output in then] == [o.output_type for o in now]
        for output in now:
            assert output.get("name") != "stderr", output.text
    # Reports are shown inline, in frames of their own.
    frames = [o for shown in list_outputs(executed) for o in shown if "<iframe" in json.dumps(o)]
    assert len(frames) == 2
    assert "verdict" in json.dumps(executed)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.name)
def test_a_notebook_is_kept_whole_or_as_it_is_written(file: Path) -> None:
    """Either all of its cells were executed, in their order, or none."""
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    assert counts in (list(range(1, len(code) + 1)), [None] * len(code))
    assert "/tmp/" not in file.read_text()
    assert file.stat().st_size < 100_000
