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


def import_from_folders(*folders: str) -> None:
    """Add the working directory and other folders to the module path, after all others.

    A recipe's `python:` function may be there.

    Args:
        folders: absolute paths; "" for none.
    """
    for folder in (os.getcwd(), *folders):  # noqa: PTH109
        if folder and folder not in sys.path:
            sys.path.append(folder)
