"""A command that is killed while it scores without Spark leaves nothing."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml

from headrace.lake.predictions import find_newest_predictions
from headrace.progress import ignore_progress
from headrace.train import train
from tests.e2e.running import BIN
from tests.prepare.local.plain_table import make_recipe, prepare_without_spark, write_lake

pytestmark = pytest.mark.long


@pytest.mark.parametrize("ends_by", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("step", ["finding the model", "without Spark"])
def test_a_command_that_is_killed(tmp_path: Path, step: str, ends_by: signal.Signals) -> None:
    write_lake(tmp_path / "lake", random.Random(1), 2, 300)
    recipe = make_recipe(
        tmp_path / "lake",
        tmp_path / "dataset",
        clean={"dedup": {"key": ["id"]}},
        train={"epochs": 1, "ranks": 1, "global_batch_size": 64},
    )
    prepare_without_spark(recipe, tmp_path, [])
    train(recipe, workdir=str(tmp_path), report=ignore_progress)
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(recipe.dump_resolved()))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [
        str(BIN / "headrace"), "score", str(tmp_path / "plain.yaml"), "--input",
        str(tmp_path / "lake"), "--output", str(tmp_path / "scores"), "--workdir", str(tmp_path),
        "--model", "models:/plain/1",
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    process = subprocess.Popen(
        command, env={**environment, "TMPDIR": str(temporary)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if step in line:
            break
    started = psutil.Process(process.pid).children(recursive=True)
    commands = [child.cmdline() for child in started]
    assert any("headrace.source.local.workers" in command for command in commands), (commands, said)
    process.send_signal(ends_by)
    process.wait(60)
    assert process.returncode != 0
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive, alive
    deadline = time.monotonic() + 30
    while [*temporary.iterdir()] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [*temporary.iterdir()]
    assert find_newest_predictions(str(tmp_path / "scores")) is None
