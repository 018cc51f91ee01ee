"""Checks of Java, TensorFlow, Horovod and GPUs with programs that answer as broken ones do.

The real engines are checked in tests/e2e/test_doctor.py.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from headrace.commands.doctor import engines
from headrace.commands.doctor.finding import State
from tests.commands.doctor.findings import find_finding
from tests.tiny import tiny_recipe

FACTS: dict[str, Any] = {
    "tensorflow": "2.21.0", "horovod": "0.28.1", "total": 2.0, "gloo": True, "nccl": False,
    "mpi": False, "cuda": False, "gpus": [],
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts of an earlier check, and settings of this machine, are not seen."""
    monkeypatch.setattr(engines, "_facts", {})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)


def write_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    finding = find_finding(engines.check_java(), "java")
    assert finding.state is State.FAIL
    assert finding.what.endswith(f"JAVA_HOME={tmp_path} has no bin/java")
    assert finding.fix.startswith("install it")


@pytest.mark.parametrize(("version", "state"), [("17.0.1", State.OK), ("11.0.2", State.FAIL)])
def test_versions_of_java(
    version: str, state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    write_program(tmp_path / "bin", "java", f"echo 'openjdk version \"{version}\"' >&2")
    finding = find_finding(engines.check_java(), "java")
    assert finding.state is state
    assert f"{tmp_path}/bin/java" in finding.what


def check_tensorflow(monkeypatch: pytest.MonkeyPatch, code: str) -> dict[str, tuple[State, str]]:
    """Run the check with a process that runs this code instead of TensorFlow's."""
    monkeypatch.setattr(engines, "build_python_command", lambda *_: [sys.executable, "-c", code])
    return {finding.name: (finding.state, finding.what) for finding in engines.check_tensorflow()}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            {},
            {"tensorflow": (State.OK, "2.21.0"), "horovod": (State.OK, "0.28.1, built with gloo")},
        ),
        (
            {"cuda": True, "nccl": True},
            {
                "tensorflow": (State.OK, "2.21.0, with CUDA"),
                "horovod": (State.OK, "0.28.1, built with gloo, nccl, cuda"),
            },
        ),
        (
            {"total": 4.0},
            {
                "tensorflow": (State.OK, "2.21.0"),
                "horovod": (State.FAIL, "one rank's sum of 2 is 4.0, expected 2.0"),
            },
        ),
        (
            {"gloo": False, "mpi": True},
            {"tensorflow": (State.OK, "2.21.0"), "horovod": (State.FAIL, "0.28.1, built with mpi")},
        ),
    ],
)
def test_how_horovod_was_built(
    facts: dict[str, Any], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Libraries print to standard output too: the facts are its last line.
    output = f"a line of a library\n{json.dumps(FACTS | facts)}"
    assert check_tensorflow(monkeypatch, f"print({output!r})") == expected


def test_horovod_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"tensorflow": "2.21.0", "cuda": False, "gpus": ["0", "1"]}
    assert check_tensorflow(monkeypatch, f"print({json.dumps(facts)!r})") == {
        "tensorflow": (State.OK, "2.21.0"),
    }


@pytest.mark.parametrize(
    ("overrides", "is_installed", "state", "text"),
    [
        (["train.ranks=1"], False, State.OK, "train.ranks is 1, which needs none"),
        (["train.ranks=2"], True, State.OK, "2 ranks communicate by horovod"),
        (["train.ranks=2"], False, State.FAIL, "2 ranks are to communicate by Horovod"),
        (["train.ranks=1", "train.max_ranks=4"], False, State.FAIL, "4 ranks are to communicate"),
        (["train.ranks=2", "train.collectives=tensorflow"], False, State.OK, "by tensorflow"),
    ],
)
def test_what_ranks_communicate_by(
    overrides: list[str],
    is_installed: bool,
    state: State,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if not is_installed:
        monkeypatch.setattr(engines.installed, "find_horovod_obstacle", lambda: "there is none")
    (finding,) = engines.check_collectives(tiny_recipe(tmp_path, *overrides))
    assert (finding.name, finding.state) == ("collectives", state)
    assert text in finding.what
    assert ("train.collectives: tensorflow" in finding.fix) is (state is State.FAIL)
    assert engines.check_collectives(None) == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import nonexistent", "exit code 1: ModuleNotFoundError: No module named 'nonexistent'"),
        ("import os; os.kill(os.getpid(), 9)", "a crash: no message"),
    ],
)
def test_tensorflow_that_ends_the_process(
    code: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_tensorflow(monkeypatch, code) == {"tensorflow and horovod": (State.FAIL, text)}


def test_legacy_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    findings = check_tensorflow(monkeypatch, f"print({json.dumps(FACTS)!r})")
    assert findings["keras"] == (State.FAIL, "TF_USE_LEGACY_KERAS=1 is set")


def test_the_engine_that_the_recipe_chose_needs_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_before(monkeypatch, "import sys; sys.modules['petastorm'] = None")
    recipe = tiny_recipe(tmp_path, "stream.engine=pyarrow")
    finding = find_finding(engines.check_stream(recipe), "stream")
    what = f"stream.engine is pyarrow: pyarrow {pyarrow.__version__}"
    assert (finding.state, finding.what) == (State.OK, what)


@pytest.mark.parametrize(
    ("before", "what"),
    [
        (
            "import sys; sys.modules['petastorm'] = None",
            "stream.engine is petastorm, and Petastorm cannot be imported (it is not installed)",
        ),
        ("raise OSError('broken')", "OSError: broken"),
    ],
)
def test_an_engine_that_cannot_be_imported(
    before: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_before(monkeypatch, before)
    finding = find_finding(engines.check_stream(None), "stream")
    assert (finding.state, finding.what) == (State.FAIL, what)
    if "petastorm" in what:
        assert finding.fix.startswith("run pip install petastorm==")
        assert "or set stream.engine: pyarrow" in finding.fix


def run_before(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have the check's process run some code first."""
    build = engines.build_python_command
    monkeypatch.setattr(
        engines,
        "build_python_command",
        lambda flag, program, *words: build(flag, f"{code}\n{program}", *words),
    )


TWO_GPUS = "echo 'NVIDIA H100, 81559 MiB'; echo 'NVIDIA H100, 81559 MiB'"


@pytest.mark.parametrize(
    ("script", "facts", "expected"),
    [
        (None, {}, {"gpus": State.OK}),
        ("", {}, {"gpus": State.OK}),
        (TWO_GPUS, {}, {"gpus": State.OK}),  # TensorFlow did not start: its check says so
        (TWO_GPUS, {"gpus": ["0"]}, {"gpus": State.FAIL}),
        (TWO_GPUS, {"gpus": ["0", "1"], "nccl": True}, {"gpus": State.OK}),
        (TWO_GPUS, {"gpus": ["0", "1"], "nccl": False}, {"gpus": State.OK, "nccl": State.WARN}),
        ("echo 'driver/library version mismatch'; exit 18", {}, {"gpus": State.FAIL}),
    ],
)
def test_gpus_of_the_driver_and_of_tensorflow(
    script: str | None, facts: dict[str, Any], expected: dict[str, State],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    if script is not None:
        write_program(tmp_path, "nvidia-smi", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    engines._facts.update(facts)
    findings = engines.check_gpus()
    assert {finding.name: finding.state for finding in findings} == expected


def test_gpus_that_are_hidden_on_purpose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_program(tmp_path, "nvidia-smi", TWO_GPUS)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    engines._facts.update({"gpus": ["0"]})
    assert find_finding(engines.check_gpus(), "gpus").state is State.OK


@pytest.mark.parametrize(
    ("release", "expected"), [("Spark 3.5.7 (git 1)\n", "3.5.7"), ("", ""), (None, "")]
)
def test_the_release_of_a_spark_distribution(
    release: str | None, expected: str, tmp_path: Path
) -> None:
    if release is not None:
        (tmp_path / "RELEASE").write_text(release)
    assert engines._read_spark_release(str(tmp_path)) == expected


def test_messages_end_with_the_fix() -> None:
    assert engines._split_message("no Java; install it") == ("no Java", "install it")
    assert engines._split_message("a; b; c") == ("a; b", "c")
    assert engines._split_message("no fix") == ("no fix", "")
