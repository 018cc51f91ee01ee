"""The archive of this package: Python imports from it what runs here, and its name says what."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.spark_engine import package_archive
from headrace.spark_engine.package_archive import write_archive


def test_python_imports_from_it(tmp_path: Path) -> None:
    archive = write_archive(str(tmp_path))
    program = (
        "import sys; sys.path.insert(1, sys.argv[1])\n"
        "import headrace, headrace.lake.task, importlib.metadata\n"
        "from headrace.number_text import __file__ as file\n"
        "print(headrace.__file__, file)\n"
        "print(importlib.metadata.version('headrace'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, archive], capture_output=True, text=True, check=True,
        cwd=tmp_path,
    )  # fmt: skip
    files, version = done.stdout.splitlines()
    assert all(file.startswith(f"{archive}/headrace/") for file in files.split())
    assert version == "0.1.0"


def test_it_is_written_once(tmp_path: Path) -> None:
    first = Path(write_archive(str(tmp_path)))
    changed = first.stat().st_mtime_ns
    assert write_archive(str(tmp_path)) == str(first)
    assert first.stat().st_mtime_ns == changed
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_its_name_changes_with_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "headrace"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner/a.py").write_text("x = 1\n")
    monkeypatch.setattr(package_archive, "_FOLDER", package)
    names = [write_archive(str(tmp_path))]
    (package / "inner/a.py").write_text("x = 2\n")
    names.append(write_archive(str(tmp_path)))
    (package / "inner/a.py").rename(package / "inner/b.py")
    names.append(write_archive(str(tmp_path)))
    (package / "__pycache__").mkdir()
    (package / "__pycache__/b.cpython-311.pyc").write_text("")
    assert write_archive(str(tmp_path)) == names[-1]
    assert len({*names}) == 3


def test_from_an_archive_it_is_that_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "headrace-0.1.0.zip"
    archive.write_bytes(b"the very bytes")
    monkeypatch.setattr(package_archive, "_FOLDER", archive / "headrace")
    assert Path(write_archive(str(tmp_path))).read_bytes() == b"the very bytes"
