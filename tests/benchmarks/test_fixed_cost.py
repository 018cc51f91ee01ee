"""The steps of a run, from its lines and the processor seconds until each of them."""

import sys
from pathlib import Path

import pytest

from benchmarks.fixed_cost import _list_steps, write_penguins
from benchmarks.process_cost import COMMAND, Cost, Mark, measure_command


def test_a_step_lasts_until_the_next_one_and_epochs_are_one() -> None:
    cost = Cost(
        seconds=20.0,
        cpu_seconds={COMMAND: 5.0, "ranks": 13.0},
        marks=[
            Mark("prepare", "listing the lake", 1.0, 0.5),
            Mark("train", "epoch 1 of 3", 4.0, 3.5),
            Mark("train", "epoch 1 of 3: loss 0.5", 5.0, 4.5),
            Mark("train", "epoch 2 of 3", 7.0, 8.0),
            Mark("", "result", 19.0, 17.0),
        ],
    )
    assert _list_steps(cost) == [
        ("until the first line", 1.0, 0.5),
        ("prepare: listing the lake", 3.0, 3.0),
        ("train: epochs", 15.0, 13.5),
        ("result", 1.0, 1.0),
    ]
    assert cost.total_cpu_seconds == 18.0


def test_a_command_is_measured_with_its_children() -> None:
    child = "import time; [None for _ in iter(lambda: time.process_time() < 0.3, False)]"
    program = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {child!r}, 'headrace.distributed.rank'])\n"
        'sys.stderr.write(\'not JSON\\n{"message": "half", "stage": "train"}\\n\')\n'
        "print('{\"ok\": true}')\n"
    )
    cost = measure_command([sys.executable, "-c", program])
    assert cost.result == {"ok": True}
    assert [(mark.stage, mark.text) for mark in cost.marks] == [("train", "half")]
    assert set(cost.cpu_seconds) == {COMMAND, "ranks"}
    assert 0.2 < cost.cpu_seconds["ranks"] < 5  # what it ran in its last 50 ms is not seen


def test_a_command_that_fails_says_why() -> None:
    import subprocess

    with pytest.raises(subprocess.CalledProcessError) as caught:
        measure_command([sys.executable, "-c", "import sys; sys.exit('no such table')"])
    assert "no such table" in caught.value.stderr


def test_the_table_has_344_rows_and_the_same_every_time(tmp_path: Path) -> None:
    texts = []
    for name in ("a.csv", "b.csv"):
        write_penguins(tmp_path / name)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) == 345
    assert all(line.count(",") == 6 for line in texts[0].splitlines())
