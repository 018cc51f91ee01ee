"""Compile Horovod 0.28.1, unmodified, against a TensorFlow of after its time.

This folder is two things. As `headrace_horovod_build` it is a build dependency of Horovod's wheel
(`[tool.uv.extra-build-dependencies]`): setuptools calls `set_build_variables` when it sets up
Horovod's distribution. As `headrace.distributed.horovod_build` it lets `headrace install-horovod`
do the same with pip, whose isolated builds take no such dependency. From then on the compiler finds

- headers that TensorFlow's wheel ships below `include/external/`, which no flag of its own names,
- one header by the name that it had until TensorFlow 2.18 (`include/` beside this file),

and CMake is called by way of `cmake.py`, which builds the one library that is used.
"""

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLES = {
    "HOROVOD_WITH_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_PYTORCH": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_WITHOUT_MPI": "1",
}
"""What of Horovod is built; `[tool.uv.extra-build-variables]` has the same."""

_HEADERS = Path(__file__).parent / "include"


def set_build_variables(distribution: Any) -> None:
    """Set what Horovod's build reads from the environment; other packages' builds stay as they are.

    Args:
        distribution: setuptools', of the package that is built.

    Raises:
        RuntimeError: TensorFlow is not among the build dependencies.
    """
    if distribution.get_name() == "horovod":
        os.environ.update(find_build_variables(os.environ, shutil.which("headrace-horovod-cmake")))


def find_build_variables(environment: Mapping[str, str], cmake: str | None) -> dict[str, str]:
    """Find what Horovod's build reads from the environment.

    Args:
        environment: of the build; what it sets already for CMake and make stays.
        cmake: program to call in CMake's place.

    Raises:
        RuntimeError: TensorFlow is not there.
    """
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("TensorFlow is not there to compile Horovod against")
    folders = [_HEADERS, *external_headers(Path(spec.submodule_search_locations[0]) / "include")]
    before = environment.get("CPLUS_INCLUDE_PATH")
    paths = [*([before] if before else []), *map(str, folders)]
    variables = {
        # Horovod would start 8 compilers, of a GiB each, however many cores there are.
        "MAKEFLAGS": environment.get("MAKEFLAGS", f"-j{len(os.sched_getaffinity(0))}"),
        "CPLUS_INCLUDE_PATH": os.pathsep.join(paths),
    }
    if cmake:
        variables["HOROVOD_CMAKE"] = environment.get("HOROVOD_CMAKE", cmake)
    return variables


def external_headers(include: Path) -> list[Path]:
    """Return the folders that the headers of TensorFlow's own dependencies are named from.

    Args:
        include: TensorFlow's folder of headers.
    """
    external = include / "external"
    folders = sorted(path for path in external.glob("*") if path.is_dir())
    return [*folders, *(path for path in [external / "farmhash_archive" / "src"] if path.is_dir())]
