"""Where prepared datasets live: versions, commits, the ledger, the row-group index.

No engine runs here: `prepare` and `score` write files with Spark and hand them over to `publish`,
`stream` and `evaluate` open a `DatasetVersion`. The only home of deltalake.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.lake.commit import publish
    from headrace.lake.data_file import DataFile
    from headrace.lake.ledger import Ledger
    from headrace.lake.version import DatasetVersion

_HOMES = {
    "DataFile": "data_file",
    "DatasetVersion": "version",
    "Ledger": "ledger",
    "publish": "commit",
}
__all__ = ["DataFile", "DatasetVersion", "Ledger", "publish"]


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: Spark's Python workers need no deltalake (1 s)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"headrace.lake.{_HOMES[name]}"), name)
