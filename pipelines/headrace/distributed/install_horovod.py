"""Compile Horovod against the TensorFlow of this environment, and install it.

pip builds a package where none of this environment's packages are, and a Horovod that is compiled
without TensorFlow installs without an error and trains nothing. So the build's tools are put into a
temporary folder in front of this environment, and pip is told to build right here.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from headrace.distributed.horovod_build import VARIABLES, find_build_variables
from headrace.errors import MachineError
from headrace.extras import find_horovod_obstacle
from headrace.processes import build_python_command
from headrace.progress import Progress, Report

HOROVOD = "horovod==0.28.1"
# Not the newest setuptools: Horovod calls its setup.py as those of its time were called. Gloo's
# CMakeLists.txt is too old for CMake 4.
TOOLS = ("setuptools<80", "wheel", "cmake>=3.13,<4")
_LOADS = "import tensorflow, horovod.tensorflow as hvd; hvd.init(); print(hvd.gloo_built())"
_LAST_LINES = 30


def install_horovod(report: Report) -> None:
    """Compile and install Horovod, in place of one that is there; it takes 2 to 10 minutes.

    Args:
        report: receives what is being done.

    Raises:
        MachineError: a compiler or pip is missing, or a step failed; with its last lines.
    """
    check_compiler()
    pip = find_installer()
    with tempfile.TemporaryDirectory(prefix="headrace-horovod-") as folder:
        tools = f"{folder}/tools"
        report(Progress(f"fetching {', '.join(TOOLS)}"))
        _run([*pip, "--target", tools, *TOOLS], dict(os.environ), folder, "fetching build tools")
        report(Progress(f"compiling {HOROVOD} against TensorFlow: 2 to 10 minutes"))
        _run(
            [*pip, "--no-build-isolation", "--no-deps", "--no-binary", "horovod",
             *_reinstall_options(pip), HOROVOD],
            build_environment(tools, folder),
            folder,
            f"compiling {HOROVOD}",
        )  # fmt: skip
        report(Progress("loading it"))
        _run(build_python_command("-c", _LOADS), dict(os.environ), folder, "loading Horovod")
    if obstacle := find_horovod_obstacle():
        raise MachineError(f"{obstacle}, though it was compiled with it; please report this")


def check_compiler() -> None:
    """Check that there is what Horovod is compiled with.

    Raises:
        MachineError: a C++ compiler or make is missing.
    """
    programs = (os.environ.get("CXX") or "g++", "make")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise MachineError(
            f"Horovod is compiled, and {' and '.join(missing)} cannot be found; install them "
            "(apt-get install g++ make)"
        )


def find_installer() -> list[str]:
    """Find the command that installs packages into this environment: pip's, or uv's.

    Raises:
        MachineError: neither is there.
    """
    if find_spec("pip") is not None:
        # A wheel that pip keeps may be one that was built without TensorFlow.
        return build_python_command("-m", "pip", "install", "--no-cache-dir", "--no-input")
    uv = shutil.which("uv")
    if uv is None:
        raise MachineError(
            f"neither pip nor uv is there to install {HOROVOD} with; run: python -m ensurepip"
        )
    return [uv, "pip", "install", "--no-config", "--no-cache", "--python", sys.executable]


def build_environment(tools: str, folder: str) -> dict[str, str]:
    """Build the environment variables that pip compiles Horovod in.

    Args:
        tools: folder with the build's tools, which come before this environment's packages.
        folder: of temporary files.
    """
    # Horovod's build starts this in place of `cmake`.
    cmake = Path(folder) / "cmake"
    module = "headrace.distributed.horovod_build.cmake"
    cmake.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m {module} "$@"\n')
    cmake.chmod(0o755)
    paths = [tools, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **VARIABLES,
        **find_build_variables(os.environ, str(cmake)),
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": f"{tools}/bin{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def _reinstall_options(pip: list[str]) -> list[str]:
    return ["--reinstall"] if pip[1] == "pip" else ["--force-reinstall", "--use-pep517"]


def _run(command: list[str], environment: dict[str, str], folder: str, what: str) -> None:
    """Run a command; where it fails, raise with the last lines that it wrote."""
    log = Path(folder) / "output"
    with log.open("wb") as stream:
        code = subprocess.run(
            command,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=folder,
        ).returncode
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        raise MachineError("\n".join([f"{what} failed with exit code {code}:", *lines]))
