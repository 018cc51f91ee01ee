"""Stores as Petastorm's `Reader` takes them, and datasets that it must not open."""

import warnings
from typing import Any

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from pipelines.errors import StreamError
from pipelines.lake.storage import open_files
from pipelines.quiet import quiet_import

with quiet_import():
    import pyarrow.filesystem as legacy


class StoreFiles(legacy.DaskFileSystem):
    """An fsspec file system as the legacy dataset wants it; its base leaves these two open."""

    def isfile(self, path: str) -> bool:
        return bool(self.fs.isfile(path))

    def isdir(self, path: str) -> bool:
        return bool(self.fs.isdir(path))


def petastorm_filesystem(root: str) -> tuple[Any, str]:
    """A file system for Petastorm's `Reader`, and the path of `root` on it.

    Petastorm passes pyarrow arguments that only the legacy dataset takes, and pyarrow 14 chooses
    the legacy dataset by the type of the file system alone.
    """
    filesystem, path = open_files(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        local = isinstance(filesystem, LocalFileSystem)
        return (pa.localfs if local else StoreFiles(filesystem)), path


def refuse_pickled_metadata(root: str) -> None:
    """Refuse a folder with `_common_metadata`: Petastorm would un-pickle it, which runs code.

    Raises:
        StreamError: there is one.
    """
    filesystem, base = open_files(root)
    if filesystem.exists(f"{base}/_common_metadata"):
        raise StreamError(
            f"{root} holds _common_metadata, where Petastorm keeps a pickled schema; reading it "
            "would run code from the dataset, so Headrace does not. Remove the file: the Parquet "
            "files themselves have the schema"
        )
