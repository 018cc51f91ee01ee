"""`headrace.run` in a notebook: results and errors are the commands', and nothing else changes."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from headrace.api import RunResult, run
from headrace.api.command import run_command as run_child
from headrace.errors import (
    DatasetError,
    HeadraceError,
    LakeError,
    MachineError,
    OptionError,
    RecipeError,
)
from tests.e2e.running import ROOT, headrace
from tests.mlflow_store import copy_empty_store
from tests.tiny import tiny_tree, write_tiny_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_lake(tmp_path_factory.mktemp("run") / "lake").parent


def tree_of(lake: Path, **changes: Any) -> dict[str, Any]:
    tree = tiny_tree()
    tree["source"]["tables"] = {n: {"path": f"{lake}/lake/{n}"} for n in ("visits", "shops")}
    return {**tree, **changes}


def look_around() -> dict[str, Any]:
    """Return what of this process a call might change."""
    loggers = [logging.getLogger(n) for n in ("", "mlflow", "headrace", "alembic", "py4j")]
    return {
        "signals": {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)},
        "environment": dict(os.environ),
        "path": list(sys.path),
        "folder": str(Path.cwd()),
        "loggers": [(x.level, list(x.handlers), x.propagate, x.disabled) for x in loggers],
        "warnings": list(warnings.filters),
        "children": {p.pid for p in psutil.Process().children(recursive=True)},
    }


def test_a_dict_is_prepared_inside_a_running_loop_and_nothing_else_changes(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tree_of(lake)
    given = yaml.safe_dump(tree)

    async def call() -> RunResult:  # as a cell does, in a kernel's loop
        return run(tree, ["prepare"], workdir=tmp_path, overrides={"split.seed": 4})

    before = look_around()
    result = asyncio.run(call())
    assert look_around() == before
    assert yaml.safe_dump(tree) == given
    assert result.stages == ("prepare",)
    assert result.dataset.ledger.read == 600
    assert result.dataset._version.build.recipe["split"]["seed"] == 4
    assert (result.metrics, result.verdict, result.passed, result.run_id) == ({}, None, None, None)
    assert "Data report of tiny" in result.report.title
    assert "dataset" in result._repr_html_()
    with pytest.raises(OptionError, match="the stages prepare have no model; run train"):
        _ = result.model
    shown = capsys.readouterr().out
    assert "prepare: reading tables" in shown
    assert '{"' not in shown


def said_by_command(command: str, tree: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Return kind and text of the error that the command line reports."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree))
    done = headrace(command, str(path), "--workdir", str(folder / "w"), "--json")
    assert done.code in (1, 2), done.err
    return done.result["error"]["type"], done.result["error"]["message"]


@pytest.mark.parametrize(
    ("stage", "kind", "changes"),
    [
        ("prepare", RecipeError, {"trian": {}}),
        ("prepare", RecipeError, {"label": {"expression": "late", "kind": "binray"}}),
        ("prepare", HeadraceError, {"label": {"expression": "lat"}}),
        ("prepare", LakeError, {"source": {"tables": {"visits": {"path": "/nowhere"}},
                                           "main": "visits"}}),
        ("train", DatasetError, {}),
        ("evaluate", HeadraceError, {}),
        ("prepare", MachineError, {"dataset": {"path": "/proc/none"}}),
    ],
)  # fmt: skip
def test_an_error_says_what_the_command_line_says(
    stage: str, kind: type[HeadraceError], changes: dict[str, Any], lake: Path, tmp_path: Path
) -> None:
    tree = tree_of(lake, **changes)
    name, text = said_by_command(stage, tree, tmp_path)
    recipe = tmp_path / "recipe.yaml"
    with pytest.raises(kind) as caught:
        run(recipe, [stage], workdir=tmp_path / "w", show=None)
    assert (type(caught.value).__name__, str(caught.value)) == (name, text)


def test_a_recipe_s_problems_are_known_before_anything_is_started(lake: Path) -> None:
    started = time.monotonic()
    with pytest.raises(RecipeError) as caught:
        run(tree_of(lake, trian={}, nmae="x"), show=None)
    assert [problem.where for problem in caught.value.problems] == ["trian", "nmae"]
    assert "did you mean train?" in str(caught.value)
    assert "recipe given as a dict" in str(caught.value)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (["prepear"], r"headrace.run: there is no stage 'prepear' \(did you mean 'prepare'\?\)"),
        (["train", "prepare"], r"expected in this order, once: prepare, train"),
        (["train", "train"], r"expected in this order, once: train"),
        ([], r"expected in this order, once: prepare, train, evaluate"),
        ("score", r"there is no stage 'score'"),
    ],
)
def test_stages_are_checked(stages: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        run({}, stages)


def test_a_command_that_dies_without_a_word_is_told_with_its_last_lines() -> None:
    with pytest.raises(HeadraceError, match=r"headrace nonsense ended with 2 without a result\n"):
        run_child(["nonsense"], lambda text: None)


WAITING = """
import os, sys, threading, time
import headrace
def show(text):
    print(text, flush=True)
try:
    headrace.run(sys.argv[1], ["train"], workdir=sys.argv[2], show=show,
                 overrides={"train.epochs": 100000})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def start_training(folder: Path, workdir: Path) -> "subprocess.Popen[str]":
    copy_empty_store(workdir / "mlflow/mlflow.db")
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(folder / "tiny.yaml"), str(workdir)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": f"{ROOT}/pipelines"},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 1 of" in line:
            break
    return process


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


@pytest.mark.parametrize("times", [1, 2])
def test_interrupts_as_early_as_they_can_come_end_the_command(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come as a thread is started: the first that reads, and the one that ends by force."""
    start, left = threading.Thread.start, [KeyboardInterrupt] * times

    def interrupt(thread: threading.Thread) -> None:
        if left:
            raise left.pop()
        start(thread)

    before = psutil.Process().children(recursive=True)
    monkeypatch.setattr(threading.Thread, "start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_child(["doctor"], print)
    assert psutil.Process().children(recursive=True) == before


@pytest.mark.long
def test_an_interrupted_cell_interrupts_its_stage(notebook_folder: Path, tmp_path: Path) -> None:
    process = start_training(notebook_folder, tmp_path)
    below = psutil.Process(process.pid).children(recursive=True)
    assert below
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out.splitlines()[-1] == "interrupted"
    wait_until_gone(below)


@pytest.mark.long
def test_a_kernel_that_is_killed_leaves_nothing_behind(
    notebook_folder: Path, tmp_path: Path
) -> None:
    process = start_training(notebook_folder, tmp_path)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    wait_until_gone(below)


@pytest.mark.long
def test_all_stages_beside_a_run_of_the_user_s_own(lake: Path, tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(f"sqlite:///{copy_empty_store(tmp_path / 'own/m.db')}")
    copy_empty_store(tmp_path / "w/mlflow/mlflow.db")
    gates = [{"kind": "metric", "metric": "roc_auc", "at_least": 1.01}]
    tree = tree_of(lake, evaluate={"gates": gates})
    with mlflow.start_run() as own:
        before, address = look_around(), mlflow.get_tracking_uri()
        registry = mlflow.get_registry_uri()
        result = run(tree, workdir=tmp_path / "w", show=None)
        after = look_around()  # before the model is loaded: TensorFlow sets variables of its own
        rows = pd.read_parquet(lake / "lake/visits").head(5).assign(size=1.5)  # joined from shops
        predicted = result.model.predict(rows)
        page = result.report.html
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == own.info.run_id
        assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == (address, registry)
        for key in ("signals", "environment", "path", "folder", "children"):
            assert after[key] == before[key], key
    assert result.passed is False  # which is no error
    assert result.metrics["test_roc_auc"] <= 1
    assert {"probability", "prediction"} <= set(predicted.columns)
    assert len(predicted) == 5
    assert "tiny" in page
    assert "FAILED" in result._repr_html_()
    assert (result.model.name, result.model.version) == ("tiny", 1)
    client = mlflow.MlflowClient(address)  # where the user's own runs are recorded
    assert client.get_run(result.run_id).info.status == "FINISHED"
    assert str(result.run_url).endswith(
        f"/runs/{result.values['pipeline_run_id']}?workflowType=machine_learning"
    )
    again = run(tree, ["train", "evaluate"], workdir=tmp_path / "w", show=None)
    assert again.model.version == 2
    assert again.values["model_uri"] == "models:/tiny/2"
    assert again.dataset.version == 0


@pytest.mark.long
def test_a_dict_finds_the_user_s_own_function_in_the_working_directory(
    notebook_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_model.py").write_text(
        "import keras\n"
        "def build(inputs, spec):\n"
        "    return keras.layers.Dense(4)(inputs['numeric'])\n"
    )
    monkeypatch.chdir(tmp_path)
    tree = yaml.safe_load((notebook_folder / "tiny.yaml").read_text())
    tree["model"] = {"kind": "python", "function": "my_model:build"}
    copy_empty_store(tmp_path / "w/mlflow/mlflow.db")
    result = run(tree, ["train"], workdir="w", show=None)
    assert result.model.version == 1
