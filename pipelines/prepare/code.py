"""Which code makes a build."""

import subprocess
from functools import cache
from pathlib import Path

import pipelines


@cache
def git_commit() -> str | None:
    """The commit of the checkout that the code runs from; None where it is installed."""
    root = Path(pipelines.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
