"""Open the footers of a table's files: how many rows they have, and which columns.

Only those of files that were not there before are opened.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from headrace.errors import LakeError
from headrace.lake.file_columns import (
    FileColumns,
    digest_columns,
    read_orc_columns,
    read_parquet_columns,
)
from headrace.lake.iceberg_log import WITH_SPARK
from headrace.lake.iceberg_schema import find_other_id
from headrace.lake.logged_files import UnreadFeatureError
from headrace.lake.source_partition import SourceFile
from headrace.recipe import sections as s
from headrace.source.listing import Listing

_PARALLEL_FOOTERS = 16
_UNREADABLE = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


def read_footers(
    table: s.Table,
    filesystem: Any,
    paths: Mapping[str, str],
    listing: Listing,
    before: Mapping[str, SourceFile],
    schemas: Mapping[str, FileColumns],
) -> Listing:
    """Return a listing with the rows and columns of its files.

    Args:
        table: the recipe's; its format is parquet or orc.
        filesystem: fsspec's.
        paths: listed path -> path on the file system.
        listing: of the table.
        before: files of an earlier listing.
        schemas: columns that are known, by their digest.

    Raises:
        LakeError: a file has other values of a partition column than its folder, or a column that
            is another one of an Iceberg table than its name says.
    """

    def open_footer(file: SourceFile) -> tuple[SourceFile, FileColumns | None]:
        same = before.get(file.path)
        digest = same.columns if same is not None and same.identity == file.identity else None
        known = schemas.get(digest) if digest is not None else None
        if same is not None and known is not None and not _may_have_other_ids(listing, known):
            return same, known
        try:
            with filesystem.open(paths[file.path], "rb") as stream:
                if table.format == "orc":
                    rows, columns = None, read_orc_columns(orc.ORCFile(stream))
                else:
                    footer = pq.read_metadata(stream)
                    rows, columns = footer.num_rows, read_parquet_columns(footer)
                    _refuse_other_values(listing, file.path, footer)
                    _refuse_other_ids(listing, file.path, footer)
        except _UNREADABLE:  # what reads it says what is wrong with it
            return file, None
        return file.model_copy(update={"rows": rows, "columns": digest_columns(columns)}), columns

    with ThreadPoolExecutor(_PARALLEL_FOOTERS) as pool:
        opened = list(pool.map(open_footer, listing.files.values()))
    found = {file.columns: columns for file, columns in opened if file.columns and columns}
    return replace(listing, files={file.path: file for file, _ in opened}, schemas=found)


def _may_have_other_ids(listing: Listing, columns: FileColumns) -> bool:
    """Return whether a file whose columns are known has to be asked for their ids once more: the
    table may have changed since, not the file."""
    log = listing.log
    if log is None or not log.field_ids:
        return False
    return log.has_lost_ids or any(name not in log.field_ids for name, _ in columns)


def _refuse_other_ids(listing: Listing, path: str, footer: pq.FileMetaData) -> None:
    """Refuse a file of an Iceberg table in which a name means another column than now.

    The metadata tells of renamed columns as long as it names their old schemas; who maintains the
    table may have removed those.
    """
    ids = listing.log.field_ids if listing.log is not None else {}
    problem = find_other_id(footer.schema.to_arrow_schema(), ids) if ids else None
    if problem:
        raise UnreadFeatureError(
            f"{listing.root} is an Iceberg table with a file that was written before a column was "
            f"renamed, or dropped and added again: {path}: {problem}. {WITH_SPARK}"
        )


def _refuse_other_values(listing: Listing, path: str, footer: pq.FileMetaData) -> None:
    """Refuse a file whose statistics say other values of a column than its folder does."""
    for name, text in listing.get_values(path).items():
        for position in range(footer.num_columns):
            if footer.schema.column(position).path != name:
                continue
            for group in range(footer.num_row_groups):
                statistics = footer.row_group(group).column(position).statistics
                if statistics is None or not statistics.has_min_max:
                    continue
                for value in (statistics.min, statistics.max):
                    if not _is_said(value, text):
                        raise LakeError(
                            f"{path} has {name} {value!r} in a row, and its folder says "
                            f"{name}={text}: which of the two is meant is not known. Rewrite the "
                            "file without the column, or rename the folder"
                        )


def _is_said(value: Any, text: str | None) -> bool:
    """Return whether a folder's text says a value."""
    if text is None:
        return False
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, datetime):
        return text.replace("T", " ").startswith(value.isoformat(sep=" ")[: len(text)])
    if isinstance(value, date):
        return text == value.isoformat()
    try:
        return text == str(value) or float(text) == float(value)
    except (TypeError, ValueError):
        return False
