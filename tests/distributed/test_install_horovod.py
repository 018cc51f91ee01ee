"""Horovod's build: what it finds, what is refused before it begins, and that uv builds the same.

The build itself is in tests/install/test_pip.py.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from headrace.distributed import horovod_build, install_horovod
from headrace.distributed.horovod_build import VARIABLES, external_headers, find_build_variables
from headrace.distributed.install_horovod import (
    HOROVOD,
    TOOLS,
    build_environment,
    check_compiler,
    find_installer,
)
from headrace.errors import MachineError
from tests.e2e.running import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDER = Path(horovod_build.__file__).parent


def test_uv_and_the_command_build_the_same() -> None:
    assert PROJECT["tool"]["uv"]["extra-build-variables"]["horovod"] == VARIABLES
    assert HOROVOD in PROJECT["dependency-groups"]["all"]
    of_uv = PROJECT["tool"]["uv"]["extra-build-dependencies"]["horovod"]
    assert {"setuptools<80", "wheel"} <= {item for item in of_uv if isinstance(item, str)}
    own = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    assert {*own["dependencies"], "setuptools<80", "wheel"} == {*TOOLS}
    assert f"headrace-horovod-build=={own['version']}" in of_uv


def test_headers_of_tensorflow_and_of_before_are_found(tmp_path: Path) -> None:
    for name in ("eigen_archive", "farmhash_archive/src", "com_google_absl"):
        (tmp_path / "external" / name).mkdir(parents=True)
    names = [
        path.relative_to(tmp_path / "external").as_posix() for path in external_headers(tmp_path)
    ]
    assert names == [
        "com_google_absl", "eigen_archive", "farmhash_archive", "farmhash_archive/src",
    ]  # fmt: skip
    variables = find_build_variables(
        {"CPLUS_INCLUDE_PATH": "/mine", "MAKEFLAGS": "-j1"}, "/my/cmake"
    )
    paths = variables["CPLUS_INCLUDE_PATH"].split(os.pathsep)
    assert paths[:2] == ["/mine", str(FOLDER / "include")]
    assert any("tensorflow/include/external" in path for path in paths[2:])
    assert (variables["MAKEFLAGS"], variables["HOROVOD_CMAKE"]) == ("-j1", "/my/cmake")
    assert "HOROVOD_CMAKE" not in find_build_variables({}, None)


def test_tools_come_before_the_environment_and_cmake_is_ours(tmp_path: Path) -> None:
    environment = build_environment(f"{tmp_path}/tools", str(tmp_path))
    assert environment["PATH"].startswith(f"{tmp_path}/tools/bin{os.pathsep}")
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == f"{tmp_path}/tools"
    assert environment["HOROVOD_WITH_TENSORFLOW"] == "1"
    tools = tmp_path / "tools/bin"
    tools.mkdir(parents=True)
    (tools / "cmake").write_text('#!/bin/sh\necho "$@"\n')
    (tools / "cmake").chmod(0o755)
    done = subprocess.run(
        [environment["HOROVOD_CMAKE"], "--build", ".", "--", "VERBOSE=1"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout == "--build . --target tensorflow -- VERBOSE=1\n"


def test_what_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MachineError, match=r"g\+\+ and make cannot be found; install them"):
        check_compiler()
    for name in ("make", "clang++"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("CXX", "clang++")
    check_compiler()


def test_pip_installs_or_uv_or_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install_horovod, "find_spec", lambda name: object())
    pip = find_installer()
    assert pip[0] == sys.executable
    assert "--no-cache-dir" in pip  # or a wheel without TensorFlow comes from pip's cache
    monkeypatch.setattr(install_horovod, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="neither pip nor uv is there"):
        find_installer()
    (tmp_path / "uv").touch(mode=0o755)
    assert find_installer()[:3] == [str(tmp_path / "uv"), "pip", "install"]


def test_a_step_that_fails_shows_its_last_lines(tmp_path: Path) -> None:
    script = "print(*range(100), sep='\\n'); raise SystemExit(3)"
    with pytest.raises(MachineError) as raised:
        install_horovod._run([sys.executable, "-c", script], {}, str(tmp_path), "compiling x")
    lines = str(raised.value).splitlines()
    assert lines[0] == "compiling x failed with exit code 3:"
    assert lines[1:] == [str(number) for number in range(70, 100)]
