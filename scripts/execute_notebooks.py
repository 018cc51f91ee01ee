"""Execute the notebooks of docs/ anew, and write them with what they show.

    .venv/bin/python scripts/execute_notebooks.py

Each runs in a folder of its own, which is called FOLDER in what is written. Pages of reports are
left out, because they are large; the test of the notebooks looks at them.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
FOLDER = "/home/you/notebook"
_LARGEST_OUTPUT = 20_000  # characters


def execute_notebook(file: Path, folder: Path, timeout_seconds: int = 600) -> Any:
    """Execute a notebook in a folder, and return it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(file, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=timeout_seconds, resources=resources).execute()
    return notebook


def tidy_outputs(notebook: Any, folder: Path) -> Any:
    """Return a notebook without times, ids of kernels, large outputs, and the folder's name."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python",
                                        "name": "python3"}}  # fmt: skip
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
        for output in cell.get("outputs", []):
            shown = output.get("data", {})
            for kind in [kind for kind, value in shown.items() if len(value) > _LARGEST_OUTPUT]:
                del shown[kind]
    text = json.dumps(notebook).replace(str(folder), FOLDER)
    return nbformat.from_dict(json.loads(text))


def main() -> None:
    """Execute all notebooks of docs/."""
    for file in NOTEBOOKS:
        with tempfile.TemporaryDirectory(prefix="headrace-notebook-") as name:
            folder = Path(name).resolve()
            notebook = tidy_outputs(execute_notebook(file, folder), folder)
        nbformat.write(notebook, file)
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
