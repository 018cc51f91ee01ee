"""Find the functions of the user's own that a recipe names as `module:function`."""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.errors import Problem, RecipeError
from headrace.processes import import_from_folders

PATTERN = r"^[\w.]+:\w+$"
"""What a recipe's key for such a function holds."""


def import_function(path: str, where: str) -> Callable[..., Any]:
    """Import the function `module:name`.

    Args:
        path: as the recipe has it.
        where: key of the recipe, for errors.

    Raises:
        RecipeError: there is none.
    """
    module, _, name = path.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise _make_error(path, where, f"cannot be imported: {error}") from None
    except Exception as error:  # of the module's own code, also where it is no Python
        message = f"cannot be imported: {type(error).__name__}: {error}"
        raise _make_error(path, where, message, "correct the module") from error
    return function


def compute_source_digest(path: str, where: str, folder: str = "") -> str:
    """Return the SHA-256 of the file of the function's module, which is found and not executed.

    All of the file counts: a function is also what it calls.

    Args:
        path: `module:name`, as the recipe has it.
        where: key of the recipe, for errors.
        folder: of the recipe's file; "" where it is on the module path already.

    Raises:
        RecipeError: there is no such module, or it has no file.
    """
    import_from_folders(folder)
    module = path.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise _make_error(path, where, f"cannot be found: {error}") from None
    if spec is None:
        raise _make_error(path, where, f"cannot be found: there is no module {module}")
    if not spec.origin or not Path(spec.origin).is_file():
        raise _make_error(path, where, f"cannot be recorded: module {module} has no file")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _make_error(
    path: str,
    where: str,
    message: str,
    fix: str = "put the module beside the recipe, into the working directory or on PYTHONPATH",
) -> RecipeError:
    problem = Problem(where, f"{path} {message}", fix)
    return RecipeError(f"section {where.partition('.')[0]}", [problem], "nothing was trained")
