"""Which code runs: the commit of the checkout, where it is one."""

import subprocess
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


@cache
def find_git_commit() -> str | None:
    """Return the commit of the checkout that this package runs from; None where it is installed.

    A checkout holds the package at `pipelines/headrace`. A repository of somebody else's that an
    environment happens to lie in is not taken for ours.
    """
    root = _PACKAGE.parents[1]
    if _PACKAGE.parent.name != "pipelines" or not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or it does not trust the folder
        return None
    return done.stdout.strip()
