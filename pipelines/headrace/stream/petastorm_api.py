"""Import Petastorm 0.13.1 on today's pyarrow and NumPy: no other module imports it.

Petastorm imports names that pyarrow removed (`pyarrow.filesystem`, `pyarrow.hdfs`, `ArrowIOError`)
and that Python removed (`distutils`). They are provided while it is imported and removed again, so
that no other library takes them for pyarrow's own. What its reader then calls at run time is put
into its own modules: a dataset of files in place of pyarrow's removed one, and two names of types
that NumPy 2 no longer has. pyarrow and NumPy themselves are not changed.

A dataset is a list of files and nothing else. A folder may hold `_common_metadata`, where Petastorm
keeps a pickled schema that it would un-pickle; and a footer may hold one. The module with which it
un-pickles is never loaded: one that refuses stands in its place before Petastorm is imported.
"""

import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import packaging.version
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import StreamError
from headrace.quiet import silence_imports


class FilePiece:
    """One file of a `FileDataset`, or a row group of it; Petastorm calls either a piece."""

    def __init__(
        self,
        path: str,
        open_file_func: Callable[..., Any],
        row_group: int | None = None,
        partition_keys: Sequence[Any] = (),
    ) -> None:
        """
        Args:
            path: path of the file.
            open_file_func: opens the file for reading.
            row_group: position of the row group; None for the whole file.
            partition_keys: none; folder names are not columns here.
        """
        self.path, self.open_file_func = path, open_file_func
        self.row_group, self.partition_keys = row_group, partition_keys

    def get_metadata(self) -> Any:
        """Return the file's footer, a `pyarrow.parquet.FileMetaData`.

        Raises:
            OSError, pyarrow.ArrowException: the file is missing, damaged or out of reach.
        """
        with self.open_file_func(self.path, mode="rb") as source:
            return pq.ParquetFile(source).metadata


class FileDataset:
    """The dataset that Petastorm's `Reader` opens: a list of files.

    Attributes:
        paths, fs: the files, and the fsspec file system that they are on.
        pieces: one per file.
        metadata, common_metadata, partitions: None; only the files themselves are read.
    """

    metadata = common_metadata = partitions = None

    def __init__(self, paths: Sequence[str], filesystem: Any, **options: Any) -> None:
        """
        Args:
            paths: paths of files.
            filesystem: fsspec file system.
            options: options of pyarrow's dataset; those that Petastorm passes do not affect a file.

        Raises:
            StreamError: a path is that of a folder, or rows are to be filtered.
        """
        if isinstance(paths, str):
            raise StreamError(f"{paths}: Petastorm opens files here, never a folder")
        if options.get("filters"):
            raise StreamError("filters are not supported here; the plan says which rows are read")
        self.paths, self.fs = list(paths), filesystem
        for path in self.paths:
            if filesystem.isdir(path):
                raise StreamError(
                    f"{path} is a folder, but a file in the dataset version; a folder may hold a "
                    "pickled schema, so it is not opened. Restore the file"
                )
        self.pieces = [FilePiece(path, filesystem.open) for path in self.paths]


def refuse_pickle(pickled: bytes) -> Any:
    """Refuse to un-pickle, in place of Petastorm's functions that do it.

    Raises:
        StreamError: always.
    """
    raise StreamError(
        f"Petastorm was asked to un-pickle {len(pickled):,} bytes, which would run code from the "
        "dataset, so it does not; the Parquet files themselves have the schema"
    )


def _replace_unpickler() -> None:
    """Put a module without any un-pickling in place of the one that Petastorm's others import."""
    module = types.ModuleType("petastorm.etl.legacy")
    module.restricted_loads = refuse_pickle  # type: ignore[attr-defined]
    module.depickle_legacy_package_name_compatible = refuse_pickle  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module


@contextmanager
def _provide_removed_names() -> Iterator[None]:
    """Provide the removed names that Petastorm imports, while the block runs.

    Names that an older pyarrow or Python still has are not replaced.
    """
    modules: dict[str, dict[str, Any]] = {
        "pyarrow.filesystem": {"LocalFileSystem": type("LocalFileSystem", (), {})},
        "pyarrow.hdfs": {"HadoopFileSystem": type("HadoopFileSystem", (), {})},
        "distutils": {},
        "distutils.version": {"LooseVersion": packaging.version.Version},
    }
    provided = []
    for name, content in modules.items():
        if name not in sys.modules:
            module = types.ModuleType(name)
            vars(module).update(content)
            sys.modules[name] = module
            provided.append(name)
    needs_error = not hasattr(pa.lib, "ArrowIOError")
    if needs_error:
        pa.lib.ArrowIOError = OSError
    try:
        yield
    finally:
        for name in provided:
            del sys.modules[name]
        if needs_error:
            del pa.lib.ArrowIOError


def _copy_module(module: types.ModuleType, **names: Any) -> types.ModuleType:
    """Return a module with all names of `module`, and these names beside or in place of them."""
    copy = types.ModuleType(module.__name__, module.__doc__)
    vars(copy).update(vars(module))
    vars(copy).update(names)
    return copy


_replace_unpickler()
with silence_imports(), _provide_removed_names():
    import petastorm.etl.dataset_metadata
    import petastorm.reader
    import petastorm.unischema
    from petastorm.reader import Reader
    from petastorm.workers_pool import EmptyResultError
    from petastorm.workers_pool.worker_base import WorkerBase

for _module in (petastorm.reader, petastorm.etl.dataset_metadata):
    _module.pq = _copy_module(pq, ParquetDataset=FileDataset, ParquetDatasetPiece=FilePiece)
petastorm.unischema.np = _copy_module(np, unicode_=np.str_, string_=np.bytes_)

__all__ = ["EmptyResultError", "FileDataset", "FilePiece", "Reader", "WorkerBase"]
