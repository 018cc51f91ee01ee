"""Start Python processes in which the working directory shadows nothing.

`python -m` and `python -c` put the working directory before everything else, so that a folder
called `headrace`, `train` or `json` beside a recipe would be imported in place of the real one.
"""

import os
import sys


def python_command(*arguments: str) -> list[str]:
    """Return the command for this interpreter, safe from modules of the working directory.

    Args:
        arguments: what follows the interpreter, such as `-m` and a module.
    """
    return [sys.executable, "-P", *arguments]


def import_from_working_directory() -> None:
    """Let modules of the working directory be imported, after all others.

    A recipe's `python:` function may lie there.
    """
    folder = os.getcwd()  # noqa: PTH109
    if folder not in sys.path:
        sys.path.append(folder)
