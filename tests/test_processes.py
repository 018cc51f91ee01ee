"""A process of ours imports nothing from its working directory, or only what nobody else has."""

import subprocess
from pathlib import Path

import pytest

from headrace.processes import build_python_command

SHADOW = "raise RuntimeError('a module of the working directory was imported')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules that are called as ours and Python's own, and one called as none."""
    (tmp_path / "json.py").write_text(SHADOW)
    for name in ("headrace", "headrace/tracking"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(SHADOW)
    (tmp_path / "my_functions.py").write_text("VALUE = 7\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        build_python_command(*arguments),
        cwd=folder,
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )


def test_code_imports_the_real_modules(folder: Path) -> None:
    done = run(folder, "-c", "import json, headrace.processes; print(json.loads('[3]'))")
    assert (done.returncode, done.stdout) == (0, "[3]\n"), done.stderr


def test_a_module_is_the_real_one(folder: Path) -> None:
    done = run(folder, "-m", "json.tool")
    assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr


def test_without_the_command_the_working_directory_would_win(folder: Path) -> None:
    """So that the tests above would see a shadow."""
    command = [build_python_command()[0], "-c", "import json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "a module of the working directory was imported" in done.stderr


def test_modules_of_the_working_directory_are_not_found(folder: Path) -> None:
    done = run(folder, "-c", "import my_functions")
    assert "No module named 'my_functions'" in done.stderr


def test_they_are_found_where_asked_for_and_still_shadow_nothing(folder: Path) -> None:
    code = (
        "import sys; from headrace.processes import import_from_folders as ask; "
        "ask(); ask(); import json, my_functions; "
        "print(my_functions.VALUE, sys.path.count(sys.path[-1]), json.loads('[3]'))"
    )
    done = run(folder, "-c", code)
    assert (done.returncode, done.stdout) == (0, "7 1 [3]\n"), done.stderr


def test_no_bytecode_is_written_within_the_block(folder: Path) -> None:
    code = (
        "import sys; sys.dont_write_bytecode = False; sys.path.append('.')\n"
        "from headrace.processes import write_no_bytecode\n"
        "with write_no_bytecode():\n    import my_functions\n"
        "import os; print(os.path.exists('__pycache__'), sys.dont_write_bytecode)\n"
        "del sys.modules['my_functions']; import my_functions\n"
        "print(os.listdir('__pycache__') != [])\n"
    )
    done = run(folder, "-c", code)
    assert (done.returncode, done.stdout) == (0, "False False\nTrue\n"), done.stderr
