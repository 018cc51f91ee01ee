"""An environment in which Horovod is not installed, for processes and all that they start."""

from pathlib import Path

_SITE = """
import sys
from importlib.machinery import PathFinder


class WithoutHorovod(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "horovod":
            return None
        return super().find_spec(fullname, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutHorovod
"""


def hide_horovod(folder: Path) -> dict[str, str]:
    """Make variables with which Python finds no Horovod.

    Args:
        folder: an empty one, for the module that hides it.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE)
    return {"PYTHONPATH": str(folder)}
