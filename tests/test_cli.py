"""The command line as a shell and a scheduler see it: help, exit codes, what goes where."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.commands.stage_outcomes import run_command, write_recipe
from tests.tiny import tiny_tree

HEADRACE = Path(sys.executable).with_name("headrace")
COMMANDS = [
    "init", "check", "doctor", "prepare", "train", "tune", "evaluate", "promote", "rollback",
    "score", "run", "inspect", "diff", "restore", "optimize", "erase", "vacuum",
    "lake flights", "lake digits", "lake synthetic",
]  # fmt: skip


def headrace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HEADRACE), *arguments], capture_output=True, text=True, check=False)


def test_help_lists_the_commands_and_exit_codes() -> None:
    done = headrace("--help")
    assert done.returncode == 0
    for word in ("Exit codes", *(command.split()[0] for command in COMMANDS)):
        assert word in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = run_command(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert "--json" in done.out
    assert len(done.out.splitlines()) > 8


def test_version() -> None:
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert headrace("--version").stdout == f"headrace {version}\n"


@pytest.mark.parametrize("command", ["prepare", "train", "evaluate", "run"])
def test_a_misspelt_key_is_exit_code_2_with_the_nearest_key(command: str, tmp_path: Path) -> None:
    tree = tiny_tree()
    tree["train"]["epoch"] = tree["train"].pop("epochs")
    done = headrace(command, write_recipe(tmp_path, tree), "--workdir", str(tmp_path / "w"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "train.epoch: unknown key, value 2 (did you mean epochs?)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "w").exists()


def test_a_wrong_type_from_the_command_line_is_exit_code_2(tmp_path: Path) -> None:
    done = headrace("run", write_recipe(tmp_path), "--set", "train.epochs=many")
    assert done.returncode == 2
    assert "train.epochs: got 'many', expected a valid integer" in done.stderr


def test_ranks_that_do_not_divide_are_exit_code_2(tmp_path: Path) -> None:
    done = headrace("train", write_recipe(tmp_path), "--ranks", "3")
    assert done.returncode == 2
    assert "3 ranks cannot share 8 canonical shards evenly" in done.stderr


def test_with_json_a_failure_is_one_object_on_the_last_line(tmp_path: Path) -> None:
    done = headrace("run", write_recipe(tmp_path), "--json", "--set", "nope=1")
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert (result["ok"], result["exit_code"], result["command"]) == (False, 2, "run")
    assert "nope" in result["error"]["message"]


def test_training_without_a_dataset_is_exit_code_1(tmp_path: Path) -> None:
    done = headrace("train", write_recipe(tmp_path), "--workdir", str(tmp_path / "w"))
    assert done.returncode == 1
    assert "there is no dataset at" in done.stderr
    assert "headrace prepare" in done.stderr


def test_evaluating_without_a_model_is_exit_code_1(tmp_path: Path) -> None:
    done = headrace("evaluate", write_recipe(tmp_path), "--workdir", str(tmp_path / "w"))
    assert done.returncode == 1
    assert "no version of model 'tiny' is registered" in done.stderr
    assert "headrace train" in done.stderr
