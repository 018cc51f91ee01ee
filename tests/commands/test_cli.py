"""The command line as a shell and a scheduler see it: help, exit codes, what goes where."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.tiny import tiny_tree

HEADRACE = Path(sys.executable).with_name("headrace")
COMMANDS = ["prepare", "train", "evaluate", "run", "lake flights", "lake synthetic"]


def headrace(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HEADRACE), *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


def write_recipe(folder: Path, tree: dict | None = None) -> str:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tree or tiny_tree()))
    return str(path)


def test_help_lists_the_commands_and_exit_codes() -> None:
    done = headrace("--help")
    assert done.returncode == 0
    for word in ("prepare", "train", "evaluate", "run", "lake", "Exit codes"):
        assert word in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = headrace(*command.split(), "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout
    assert len(done.stdout.splitlines()) > 8
    assert done.stderr == ""


def test_version() -> None:
    with (Path(__file__).parents[2] / "pyproject.toml").open("rb") as file:
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
    assert "3 ranks cannot share 8 canonical shards equally" in done.stderr


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


def test_a_lake_is_written_once(tmp_path: Path) -> None:
    first, second = (
        headrace("lake", "flights", "--out", str(tmp_path / "lake"), "--json") for _ in range(2)
    )
    assert [json.loads(d.stdout)["written"] for d in (first, second)] == [True, False]
    assert json.loads(first.stdout)["rows"]["flights"] == 336_776
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    refused = headrace("lake", "flights", "--out", str(tmp_path / "other"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is not empty" in refused.stderr
