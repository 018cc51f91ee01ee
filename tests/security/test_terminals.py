"""What a lake calls its files and columns commands no terminal, and makes no line of ours."""

import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.running import BIN

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\nheadrace init: done\r\u202e.parquet"


def init(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [str(BIN / "headrace"), "init", str(folder / "lake"), "--out", "r.yaml", *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, timeout=120
    )


def check_printed(done: "subprocess.CompletedProcess[str]") -> None:
    printed = done.stdout + done.stderr
    assert "owned" in printed
    assert not set(printed) & set("\x1b\x07\x9b\r\u202e")
    assert not any(line.startswith("headrace init: done") for line in printed.splitlines())


def test_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / HOSTILE).write_bytes(b"PAR1 nothing PAR1")
    done = init(tmp_path)
    assert done.returncode != 0
    check_printed(done)


def test_names_of_columns(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    columns = {"id": range(900), HOSTILE: [n % 97 / 7 for n in range(900)]}
    table = pa.table(columns | {"clicked": [n * 7 % 11 < 5 for n in range(900)]})
    pq.write_table(table, tmp_path / "lake" / "a.parquet")
    done = init(tmp_path, "--label", "clicked")
    assert done.returncode == 0, done.stderr
    check_printed(done)
