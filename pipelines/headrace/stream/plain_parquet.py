"""A plain Parquet folder that somebody else wrote, as an index like that of a dataset version.

Footers are read once, by one rank, and shared: of many files they take longer than a first epoch's
rows. From then on the folder is held to what was found: a file that changes is an error.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

from headrace.errors import StreamError
from headrace.lake.checksums import footer_bytes, footer_checksum, parsed_footer
from headrace.lake.data_file import DataFile
from headrace.lake.storage import is_storage_error, open_files, reaching
from headrace.stream.footers import retried, unreadable
from headrace.stream.petastorm_filesystem import refuse_pickled_metadata

_AT_ONCE = 16  # footers that are read at the same time
T = TypeVar("T")


def _alone(value: T) -> T:
    return value


def folder_files(
    root: str, *, rank: int = 0, share: Callable[[Any], Any] = _alone
) -> tuple[DataFile, ...]:
    """The Parquet files below a folder, by path, as the train split of `SplitStream`.

    Names that begin with `_` or `.` are left out, as Spark does.

    Args:
        root: a folder or URL.
        rank: rank 0 reads; what other ranks pass on is nothing.
        share: gives every rank what rank 0 has, as `Collectives.broadcast_object` does.

    Raises:
        StreamError: there is no Parquet file, one cannot be read, their columns differ, or the
            folder has Petastorm's pickled schema; on every rank.
    """
    found: Any = None
    if rank == 0:
        try:
            found = [file.model_dump(mode="json") for file in _read(root)]
        except Exception as error:  # the others must not wait for what does not come
            found = str(error)
    found = share(found)
    if isinstance(found, str):
        raise StreamError(found)
    return tuple(DataFile.model_validate(file) for file in found)


def _read(root: str) -> list[DataFile]:
    refuse_pickled_metadata(root)
    files, base = open_files(root)
    with reaching(root):
        paths = [path for path in files.find(base) if _is_data(path[len(base) :])]
    if not paths:
        raise StreamError(f"{root} has no Parquet file")

    def one(path: str) -> tuple[DataFile, pa.Schema]:
        try:
            return retried(lambda: _footer(files, path, path[len(base) + 1 :]))
        except Exception as error:
            if not (isinstance(error, pa.ArrowException) or is_storage_error(error)):
                raise
            raise unreadable(path, error) from error

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="headrace-footers") as pool:
        read = list(pool.map(one, sorted(paths)))
    first, schema = read[0]
    for file, other in read:
        for field in schema:
            place = other.get_field_index(field.name)
            if place < 0 or other.field(place).type != field.type:
                has = "no such column" if place < 0 else str(other.field(place).type)
                raise StreamError(
                    f"{root}: column {field.name!r} is {field.type} in {first.path} and in "
                    f"{file.path} there is {has}; a stream needs the same columns in every file"
                )
    return [file for file, _ in read]


def _footer(files: Any, path: str, name: str) -> tuple[DataFile, pa.Schema]:
    with files.open(path, "rb") as source:
        text = footer_bytes(source)
        size = source.seek(0, 2)
        file = parsed_footer(text)
    meta = file.metadata
    rows = tuple(meta.row_group(i).num_rows for i in range(meta.num_row_groups))
    found = DataFile(
        path=name,
        split="train",
        bytes=size,
        row_groups=rows,
        content="",
        footer=footer_checksum(text),
    )
    return found, file.schema_arrow


def _is_data(path: str) -> bool:
    hidden = any(part.startswith(("_", ".")) for part in path.split("/"))
    return path.endswith((".parquet", ".parq", ".pq")) and not hidden
