"""Build commands of Python processes in which the working directory shadows no module.

`python -m` and `python -c` put the working directory before everything else, so that a folder
called `headrace`, `train` or `json` beside a recipe would be imported in place of the real one.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def build_python_command(*arguments: str) -> list[str]:
    """Build a command of this interpreter, safe from modules of the working directory.

    Args:
        arguments: arguments of the interpreter, such as `-m` and a module.
    """
    return [sys.executable, "-P", *arguments]


def import_from_folders(*folders: str) -> None:
    """Add the working directory and other folders to the module path, after all others.

    A recipe's `python:` function may be there.

    Args:
        folders: absolute paths; "" for none.
    """
    for folder in (os.getcwd(), *folders):  # noqa: PTH109
        if folder and folder not in sys.path:
            sys.path.append(folder)


@contextmanager
def write_no_bytecode() -> Iterator[None]:
    """Keep Python from writing byte-code beside the modules that it imports within the block."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
