"""The first ten minutes on a real terminal of 80 columns and 24 rows, on three public tables.

What is typed is what the screen says to type. `captures/` has screens that were looked at; the
tests say what of them has to be there. HEADRACE_CAPTURES names a folder for those of a test run.
"""

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vega_datasets import local_data

from headrace.foreign_lines import is_notice
from tests.e2e.running import asked
from tests.mlflow_store import copy_empty_store
from tests.terminal.tmux import COLUMNS, Screen, open_screen

pytestmark = [pytest.mark.e2e, pytest.mark.long]

TABLES = {
    "iris": ("species", "species: classes"),
    "cars": ("Miles_per_Gallon", "Miles_per_Gallon: regression"),
    "seattle_weather": ("weather", "weather: classes"),
}
SECONDS = 900  # of a whole run on a machine that does other things


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_empty_store(tmp_path / "var/mlflow/mlflow.db")
    return tmp_path


@pytest.fixture
def screen(folder: Path) -> Iterator[Screen]:
    with open_screen(folder) as screen:
        yield screen


def type_and_wait(screen: Screen, command: str, seconds: float = SECONDS) -> list[str]:
    """Type a command on an empty screen; return all rows that it showed."""
    screen.clear()
    screen.type(command)
    rows = screen.wait_for_prompt(seconds)
    keep_capture(command, rows)
    check_rows(rows)
    return rows


def keep_capture(command: str, rows: list[str]) -> None:
    """Write what a command showed to a file, to be looked at."""
    if folder := os.environ.get("HEADRACE_CAPTURES"):
        name = "-".join(re.findall(r"\w+", command)[:3])
        (Path(folder) / f"{name}.txt").write_text("\n".join(rows) + "\n")


def check_rows(rows: list[str]) -> None:
    """What must never be on a screen."""
    text = "\n".join(rows)
    assert "Traceback" not in text
    assert "Warning" not in text, text
    assert "\\x1b" not in text
    assert not [row for row in rows if is_notice(row)]
    assert not [row for row in rows if row.startswith("[rank")]
    assert max(map(len, rows)) <= COLUMNS


def list_next_commands(screen: Screen) -> list[str]:
    """The commands below `Next`, as they are copied from the screen."""
    lines = screen.read_joined().rpartition("\nNext\n")[2].splitlines()
    return [line.strip() for line in lines if line.startswith("  ")]


def find_seconds(rows: list[str], text: str) -> float:
    """The seconds at the begin of the row with a text."""
    (seconds,) = (m[1] for row in rows if (m := re.match(rf" *(\d+\.\d) s  {text}", row)))
    return float(seconds)


@pytest.mark.parametrize("table", TABLES)
def test_from_a_table_to_predictions(table: str, screen: Screen, folder: Path) -> None:
    label, proposed = TABLES[table]
    frame = getattr(local_data, table)()
    frame.to_csv(folder / f"{table}.csv", index=False)

    rows = type_and_wait(screen, f"headrace init {table}.csv --label {label}")
    text = "\n".join(rows)
    assert f"Label          {proposed}" in text
    assert f"Recipe         {table}.yaml" in text
    assert "Schema         recipe.schema.json" in text
    assert rows[-2:] == ["Next", f"  headrace run {table}.yaml"]
    (run,) = list_next_commands(screen)

    rows = type_and_wait(screen, f"headrace check {table}.yaml")
    assert rows[-1].startswith("0 wrong in the recipe, 0 missing, 0 suspected")

    screen.clear()
    screen.type(run)
    screen.wait_for(r"prepare", 60)
    live = screen.wait_for(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] +\d+\.\d s  [a-z]", SECONDS)
    check_rows([row for row in live if row])
    rows = screen.wait_for_prompt(SECONDS)
    keep_capture(run, rows)
    check_rows(rows)
    check_run(rows, table)
    last = "\n".join(screen.read())  # without scrolling
    for word in ("Judged", "Model", "Next", "mlflow models serve"):
        assert word in last
    if "Verdict failed" in "\n".join(rows):  # as of 147 rows, too few to tell
        assert "headrace promote" not in last
        return

    commands = list_next_commands(screen)
    promote, score, serve = commands
    rows = type_and_wait(screen, promote)
    assert f"Champion models:/{table}/1" in "\n".join(rows)
    rows = type_and_wait(screen, score)
    assert re.search(rf"^  rows read +{len(frame):,}$", "\n".join(rows), re.MULTILINE)
    check_report(screen, folder, table)
    first = frame.drop(columns=label).iloc[:1].to_json(orient="records", date_format="iso")
    (row,) = json.loads(first)
    check_served(screen, serve, row)


def check_run(rows: list[str], table: str) -> None:
    """The end of a run has its steps, epochs, metrics and paths."""
    text = "\n".join(rows)
    stages = [rows.index(name) for name in ("prepare", "train", "evaluate")]
    assert stages == sorted(stages)
    for stage in ("prepare", "train", "evaluate"):
        assert find_seconds(rows, f"{stage}: done") > 0
    assert find_seconds(rows, "registering the model") > 0
    (header,) = (row for row in rows if row.split()[:3] == ["epoch", "train_loss", "val_loss"])
    assert header.endswith("rows/s       left")
    begin = rows.index(header) + 1
    epochs = [row.split() for row in rows[begin:] if re.match(r" *\d+\.\d s +\d+ ", row)]
    numbers = [int(words[2]) for words in epochs]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 3
    assert all(row.endswith((" s", " min")) for row in rows[begin : begin + len(numbers) - 1])
    (title,) = (row for row in rows if row.startswith("Test, "))
    trees = [] if table == "cars" else ["tree"]  # which read no texts, such as a car's name
    assert title.split()[3:] == ["model", "constant", *trees]
    assert ("without tree: trees read numbers and ids" in text) == (not trees)
    begin = rows.index(title) + 1
    metrics = [row for row in rows[begin:] if row.startswith("  ")]
    assert 3 <= metrics.index(next(row for row in metrics if " more: -v" in row)) <= 5
    assert "accounted for" in text
    assert f"models:/{table}/1" in text


def check_report(screen: Screen, folder: Path, table: str) -> None:
    """The path of the report that a command names is one of a page."""
    screen.clear()
    screen.type(f"headrace evaluate {table}.yaml -q")
    screen.wait_for_prompt(SECONDS)
    (path,) = re.findall(r"^Judged   (.*)$", screen.read_joined(), re.MULTILINE)
    assert "<html" in (folder / path).read_text()[:2000]


def check_served(screen: Screen, command: str, row: dict[str, object]) -> None:
    """The command that serves the model works as it was pasted."""
    screen.clear()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    screen.type(f"{command} -p {port}")  # the default one may be taken
    address = f"http://127.0.0.1:{port}"
    screen.wait_for(f"running on {address}", 300)
    record = {k: None if v != v else v for k, v in row.items()}  # of NaN
    assert len(asked(address, [record])) == 1
    screen.press("C-c")
    screen.wait_for_prompt(60)


def test_an_interruption_says_where_the_checkpoint_is_and_how_to_go_on(
    screen: Screen, folder: Path
) -> None:
    local_data.seattle_weather().to_csv(folder / "w.csv", index=False)
    type_and_wait(screen, "headrace init w.csv --label weather")
    screen.clear()
    screen.type("headrace run w.yaml --set train.epochs=5000 --set train.early_stopping=null")
    screen.wait_for(r"^ +\d+\.\d s +3 ", SECONDS)
    screen.press("C-c")
    rows = screen.wait_for_prompt(60)
    check_rows(rows)
    text = screen.read_joined()
    assert re.search(r"^ +\d+\.\d s  .*: not finished$", text, re.MULTILINE), text
    (checkpoint,) = re.findall(r"^  checkpoint: (.*\.ckpt)$", text, re.MULTILINE)
    assert Path(checkpoint).is_file()
    (repeated,) = re.findall(r"^  to go on: (.*)$", text, re.MULTILINE)
    screen.clear()
    screen.type(repeated)
    screen.wait_for("continuing ", SECONDS)
    screen.press("C-c")
    screen.wait_for_prompt(60)


def test_an_interruption_while_mlflow_opens_does_not_wait(screen: Screen, folder: Path) -> None:
    local_data.iris().to_csv(folder / "i.csv", index=False)
    type_and_wait(screen, "headrace init i.csv --label species")
    (folder / "var/mlflow/mlflow.db").unlink()  # it has to be made, which takes seconds
    screen.clear()
    screen.type("headrace run i.yaml")
    screen.wait_for(r"prepare\b", 60)
    began = time.monotonic()
    screen.press("C-c")
    rows = screen.wait_for_prompt(60)
    assert time.monotonic() - began < 8  # processes are ended, and nothing is waited for
    assert "headrace run: interrupted" in rows
    assert "  prepare publishes all of a version or nothing" in rows
    check_rows(rows)
