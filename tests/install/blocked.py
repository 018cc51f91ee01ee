"""An environment in which modules that are installed cannot be found, for every Python in it.

A `sitecustomize.py` in front of the path takes them out: of the command, of what it starts, and of
Spark's workers alike. What is blocked is blocked by name, so nothing that a module needs is missed.
"""

from collections.abc import Iterable
from pathlib import Path

from headrace.extras import EXTRAS

# What extras bring and base does not have; `mlflow` is of two extras.
OF_EXTRAS = frozenset(module for extra in EXTRAS.values() for module in extra.modules)
# What these bring in turn, where something of ours could import it by itself.
BROUGHT = frozenset({
    "aiobotocore", "botocore", "alembic", "flask", "h5py", "sqlalchemy", "skops", "graphene",
})  # fmt: skip

_SITE = """
import sys
from importlib.machinery import PathFinder

BLOCKED = {blocked!r}


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            return None
        return super().find_spec(name, path, target)


sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
"""


def block_modules(folder: Path, modules: Iterable[str]) -> dict[str, str]:
    """Return environment variables of processes that do not find these modules.

    Args:
        folder: empty or missing; gets the `sitecustomize.py`.
        modules: top-level names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITE.format(blocked=set(modules)))
    return {"PYTHONPATH": str(folder)}
