"""Build commands of Python processes in which the working directory shadows no module.

`python -m` and `python -c` put the working directory before everything else, so that a folder
called `headrace`, `train` or `json` beside a recipe would be imported in place of the real one.
"""

import os
import sys


def build_python_command(*arguments: str) -> list[str]:
    """Build a command of this interpreter, safe from modules of the working directory.

    Args:
        arguments: arguments of the interpreter, such as `-m` and a module.
    """
    return [sys.executable, "-P", *arguments]


def import_from_working_directory() -> None:
    """Add the working directory to the module path, after all others.

    A recipe's `python:` function may be there.
    """
    folder = os.getcwd()  # noqa: PTH109
    if folder not in sys.path:
        sys.path.append(folder)
