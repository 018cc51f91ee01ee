"""Petastorm 0.13.1 on today's pyarrow and NumPy: the one module that imports it.

Petastorm imports names that pyarrow removed (`pyarrow.filesystem`, `pyarrow.hdfs`, `ArrowIOError`)
and that Python removed (`distutils`); they are lent to it while it is imported, and taken back, so
that no other library takes them for pyarrow's own. What its reader then calls at run time is put
into its own modules: a dataset of files in place of pyarrow's removed one, and two names of types
that NumPy 2 no longer has. pyarrow and NumPy themselves stay as they are.

A dataset is a list of files and nothing else. A folder may hold `_common_metadata`, where Petastorm
keeps a pickled schema that it would un-pickle.
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
from headrace.quiet import quiet_import


class FilePiece:
    """One file of a `FileDataset`, or a row group of it."""

    def __init__(
        self,
        path: str,
        open_file_func: Callable[..., Any],
        row_group: int | None = None,
        partition_keys: Sequence[Any] = (),
    ) -> None:
        """
        Args:
            path: of the file.
            open_file_func: opens it for reading.
            row_group: which one; None for the whole file.
            partition_keys: none; a folder's name is no column here.
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
        paths, fs: the files, and the fsspec file system they are on.
        pieces: one a file.
        metadata, common_metadata, partitions: None; nothing but the files is looked at.
    """

    metadata = common_metadata = partitions = None

    def __init__(self, paths: Sequence[str], filesystem: Any, **options: Any) -> None:
        """
        Args:
            paths: of files.
            filesystem: fsspec's.
            options: of pyarrow's dataset; Petastorm passes some that do not matter to a file.

        Raises:
            StreamError: a path is not one of a file.
        """
        if isinstance(paths, str):
            raise StreamError(f"{paths}: a folder is not opened by Petastorm, its files are")
        if options.get("filters"):
            raise StreamError("filters are not read here; the plan says which rows are")
        self.paths, self.fs = list(paths), filesystem
        for path in self.paths:
            if filesystem.isdir(path):
                raise StreamError(
                    f"{path} is a folder where the dataset version has a file; a folder may hold a "
                    "pickled schema, so it is not opened. Restore the file"
                )
        self.pieces = [FilePiece(path, filesystem.open) for path in self.paths]


@contextmanager
def _lent_names() -> Iterator[None]:
    """Give Petastorm the names that it imports, for the length of the block.

    Names that an older pyarrow or Python still has are left to it.
    """
    modules: dict[str, dict[str, Any]] = {
        "pyarrow.filesystem": {"LocalFileSystem": type("LocalFileSystem", (), {})},
        "pyarrow.hdfs": {"HadoopFileSystem": type("HadoopFileSystem", (), {})},
        "distutils": {},
        "distutils.version": {"LooseVersion": packaging.version.Version},
    }
    lent = []
    for name, content in modules.items():
        if name not in sys.modules:
            module = types.ModuleType(name)
            vars(module).update(content)
            sys.modules[name] = module
            lent.append(name)
    error = not hasattr(pa.lib, "ArrowIOError")
    if error:
        pa.lib.ArrowIOError = OSError
    try:
        yield
    finally:
        for name in lent:
            del sys.modules[name]
        if error:
            del pa.lib.ArrowIOError


def _view(module: types.ModuleType, **names: Any) -> types.ModuleType:
    """Return a module that has everything of `module`, and these names."""
    view = types.ModuleType(module.__name__, module.__doc__)
    vars(view).update(vars(module))
    vars(view).update(names)
    return view


with quiet_import(), _lent_names():
    import petastorm.etl.dataset_metadata
    import petastorm.reader
    import petastorm.unischema
    from petastorm.reader import Reader
    from petastorm.workers_pool import EmptyResultError
    from petastorm.workers_pool.worker_base import WorkerBase

for _module in (petastorm.reader, petastorm.etl.dataset_metadata):
    _module.pq = _view(pq, ParquetDataset=FileDataset, ParquetDatasetPiece=FilePiece)
petastorm.unischema.np = _view(np, unicode_=np.str_, string_=np.bytes_)

__all__ = ["EmptyResultError", "FileDataset", "FilePiece", "Reader", "WorkerBase"]
