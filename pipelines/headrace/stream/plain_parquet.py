"""Index a plain Parquet folder that another system wrote, as a dataset version is indexed.

Footers are read once, by one rank, and shared: with many files they take longer than the rows of a
first epoch. A file that changes after it was indexed is an error when it is streamed.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

from headrace.errors import LakeError, StreamError
from headrace.lake.checksums import compute_footer_checksum, parse_footer, read_footer_bytes
from headrace.lake.data_file import DataFile
from headrace.lake.safe_path import is_relative_path
from headrace.lake.storage import explain_storage_errors, is_storage_error, open_filesystem
from headrace.lake.table_log import (
    KIND_NAMES,
    describe_part,
    find_enclosing_table,
    find_log_kind,
    find_nested_table,
    read_table_log,
)
from headrace.lake.walk import find_info, walk_folder
from headrace.stream.footers import build_read_error, retry_transient_errors
from headrace.stream.pickled_metadata import refuse_pickled_metadata

_CONCURRENT_READS = 16  # footers that are read at the same time
Shared = TypeVar("Shared")


def _keep_value(value: Shared) -> Shared:
    """Return the value: there is no other rank to share it with."""
    return value


def index_folder(
    root: str, *, rank: int = 0, share: Callable[[Any], Any] = _keep_value
) -> tuple[DataFile, ...]:
    """Build the index of the Parquet files below a folder, sorted by path, for `SplitStream`.

    A Delta table and the sink of a streaming query have the files that their log names. Names that
    begin with `_` or `.` are ignored, as Spark does.

    Args:
        root: a folder or URL.
        rank: rank 0 reads the footers; other ranks receive the index.
        share: returns rank 0's value on every rank, as `Collectives.broadcast_object` does.

    Raises:
        StreamError: there is no Parquet file, one cannot be read, their columns differ, the folder
            has Petastorm's pickled schema, or is a table or a part of one whose files do not all
            hold rows that it has now; on every rank.
    """
    files_or_error: Any = None
    if rank == 0:
        try:
            files_or_error = [file.model_dump(mode="json") for file in _read_folder(root)]
        except Exception as error:  # shared, so that the other ranks do not wait for ever
            files_or_error = str(error)
    files_or_error = share(files_or_error)
    if isinstance(files_or_error, str):
        raise StreamError(files_or_error)
    return tuple(DataFile.model_validate(file) for file in files_or_error)


def _read_folder(root: str) -> list[DataFile]:
    """Read the footers of all Parquet files below a folder, and compare their columns."""
    refuse_pickled_metadata(root)
    filesystem, base = open_filesystem(root)
    try:
        with explain_storage_errors(root):
            paths = _list_files(filesystem, root, base)
    except LakeError as error:
        raise StreamError(str(error)) from None
    if not paths:
        raise StreamError(f"{root} has no Parquet file")

    def read_file(path: str) -> tuple[DataFile, pa.Schema]:
        try:
            return retry_transient_errors(
                lambda: _read_data_file(filesystem, path, path[len(base) + 1 :])
            )
        except Exception as error:
            if not (isinstance(error, pa.ArrowException) or is_storage_error(error)):
                raise
            raise build_read_error(path, error) from error

    with ThreadPoolExecutor(_CONCURRENT_READS, thread_name_prefix="headrace-footers") as pool:
        files_and_schemas = list(pool.map(read_file, sorted(paths)))
    first_file, first_schema = files_and_schemas[0]
    for file, schema in files_and_schemas:
        for field in first_schema:
            position = schema.get_field_index(field.name)
            if position < 0 or schema.field(position).type != field.type:
                column_type = "missing" if position < 0 else str(schema.field(position).type)
                raise StreamError(
                    f"{root}: column {field.name!r} is {field.type} in {first_file.path} and "
                    f"{column_type} in {file.path}; a stream needs the same columns in every file"
                )
    return [file for file, _ in files_and_schemas]


def _read_data_file(filesystem: Any, path: str, name: str) -> tuple[DataFile, pa.Schema]:
    """Read a file's footer, and return its entry in the index and its columns.

    Args:
        filesystem: fsspec file system.
        path: full path of the file.
        name: path below the folder.
    """
    with filesystem.open(path, "rb") as source:
        text = read_footer_bytes(source)
        size = source.seek(0, 2)
        parquet = parse_footer(text)
    metadata = parquet.metadata
    rows = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    file = DataFile(
        path=name,
        split="train",
        bytes=size,
        row_groups=rows,
        content="",
        footer=compute_footer_checksum(text),
    )
    return file, parquet.schema_arrow


def _list_files(filesystem: Any, root: str, base: str) -> list[str]:
    """List the Parquet files of a folder, by the rules of `docs/lakes.md`.

    Raises:
        LakeError: it is a table that its files alone do not tell, or part of one.
        StreamError: a file is no Parquet file by its name.
    """
    info = find_info(filesystem, base)
    if info is not None and info["type"] != "directory":
        raise StreamError(f"{root} is a file; name its folder")
    if part := find_enclosing_table(filesystem, base):
        raise LakeError(describe_part(root, part))
    kind = find_log_kind(filesystem, base)
    if kind in ("delta", "sink"):
        log = read_table_log(filesystem, root, base, kind)
        elsewhere = [file.name for file in log.files if not is_relative_path(file.name)]
        if elsewhere:
            raise LakeError(f"{root}: its log names files elsewhere ({elsewhere[0]}); prepare it")
        return [f"{base}/{file.name}" for file in log.files]
    if kind is not None:
        raise LakeError(f"{root} is {KIND_NAMES[kind]}: not all of its files hold current rows")
    walk = walk_folder(filesystem, base)
    if part := find_nested_table(walk):
        raise LakeError(describe_part(root, part))
    paths = [file.path for file in walk.files]
    for path in paths:
        if not path.endswith((".parquet", ".parq", ".pq")):
            raise StreamError(f"{path} is no Parquet file by its name; move it out of the folder")
    return paths
