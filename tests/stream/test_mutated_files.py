"""Damaged Parquet files: an error or the same rows, and the interpreter survives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stream.rows import write_files


@pytest.mark.parametrize(
    ("first", "end"), [(0, 200), pytest.param(200, 3000, marks=pytest.mark.long)]
)
def test_no_mutation_ends_the_interpreter(tmp_path: Path, first: int, end: int) -> None:
    (file,) = write_files(tmp_path, [[60, 40, 25]])
    done = subprocess.run(
        [
            sys.executable, "-X", "faulthandler", "-m", "tests.stream.read_mutations",
            str(tmp_path), file.model_dump_json(), str(first), str(end),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    last = lines[-1] if lines else "none"
    assert done.returncode == 0, f"mutation {last} ended with {done.returncode}: {done.stderr}"
    counts = json.loads(last)
    assert counts["refused"] + counts["same"] == end - first
    assert counts["refused"] > 0.9 * (end - first)  # they did damage it
