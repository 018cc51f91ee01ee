"""Publish, open, compare and vacuum versions of datasets and of predictions, as Delta tables.

No engine runs here: `prepare` and `score` write Parquet files with Spark and hand them over to
`publish_build`; `stream` and `evaluate` open a `DatasetVersion`. The only home of deltalake.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.lake.commit import publish_build
    from headrace.lake.data_file import DataFile
    from headrace.lake.ledger import Ledger
    from headrace.lake.version import DatasetVersion

_MODULES = {
    "DataFile": "data_file",
    "DatasetVersion": "version",
    "Ledger": "ledger",
    "publish_build": "commit",
}
__all__ = ["DataFile", "DatasetVersion", "Ledger", "publish_build"]


def __getattr__(name: str) -> Any:
    """Import a name on first use, because Spark's Python workers need no deltalake (1 s)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"headrace.lake.{_MODULES[name]}"), name)
