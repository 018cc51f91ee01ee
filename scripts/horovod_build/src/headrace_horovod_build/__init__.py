"""Horovod 0.28.1, unmodified, compiled against a TensorFlow of after its time.

This package is a build dependency of Horovod's wheel (`[tool.uv.extra-build-dependencies]`), and of
nothing else. setuptools calls `set_build_variables` when it sets up Horovod's distribution; from
then on the compiler finds

- headers that TensorFlow's wheel ships below `include/external/`, which no flag of its own names,
- one header by the name that it had until TensorFlow 2.18 (`include/` beside this file),

and CMake is called by way of `cmake.py`, which builds the one library that is used.
"""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

_HEADERS = Path(__file__).parent / "include"


def set_build_variables(distribution: Any) -> None:
    """Set what Horovod's build reads from the environment; other packages' builds stay as they are.

    Args:
        distribution: setuptools', of the package that is built.

    Raises:
        RuntimeError: TensorFlow is not among the build dependencies.
    """
    if distribution.get_name() != "horovod":
        return
    found = importlib.util.find_spec("tensorflow")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("TensorFlow is not there to compile Horovod against")
    folders = [_HEADERS, *external_headers(Path(found.submodule_search_locations[0]) / "include")]
    before = os.environ.get("CPLUS_INCLUDE_PATH")
    paths = [*([before] if before else []), *map(str, folders)]
    os.environ["CPLUS_INCLUDE_PATH"] = os.pathsep.join(paths)
    cmake = shutil.which("headrace-horovod-cmake")
    if cmake:
        os.environ.setdefault("HOROVOD_CMAKE", cmake)
    # Horovod would start 8 compilers, of a GiB each, however many cores there are.
    os.environ.setdefault("MAKEFLAGS", f"-j{len(os.sched_getaffinity(0))}")


def external_headers(include: Path) -> list[Path]:
    """Return the folders that the headers of TensorFlow's own dependencies are named from.

    Args:
        include: TensorFlow's folder of headers.
    """
    external = include / "external"
    folders = sorted(path for path in external.glob("*") if path.is_dir())
    return [*folders, *(path for path in [external / "farmhash_archive" / "src"] if path.is_dir())]
