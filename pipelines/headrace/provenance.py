"""Find which code runs: the commit of the checkout, where it runs from one."""

import subprocess
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


@cache
def find_git_commit() -> str | None:
    """Return the commit of the checkout that this package runs from; None where it is installed.

    A checkout has the package at `pipelines/headrace`. Somebody else's repository that an installed
    package happens to be in is not taken for ours.
    """
    root = _PACKAGE.parents[1]
    if _PACKAGE.parent.name != "pipelines" or not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or it does not trust the folder
        return None
    return process.stdout.strip()
