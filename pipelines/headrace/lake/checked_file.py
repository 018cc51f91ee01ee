"""Read a data file whole, and compare it with all that is known of it.

Who writes rows again would otherwise give damaged ones a good checksum. Reading at training speed
is left to `stream/`, which compares the same checksums as it goes.
"""

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DamagedError, RemovedError
from headrace.lake.checksums import (
    compute_footer_checksum,
    hash_rows,
    read_checksums,
    read_footer_bytes,
)
from headrace.lake.damage import explain_damage
from headrace.lake.data_file import DataFile
from headrace.lake.storage import explain_storage_errors, open_filesystem


def read_checked_file(root: str, file: DataFile) -> pa.Table:
    """Read all rows and columns of a data file.

    Args:
        root: the dataset's folder or URL.
        file: as the version's index has it.

    Raises:
        DamagedError: the file is not the one that was published, or its rows are not.
        RemovedError: it is missing.
        UnreachableError: the store does not answer.
    """
    filesystem, base = open_filesystem(root)
    where = f"dataset {root}: {file.path}"
    with explain_storage_errors(root):
        try:
            content = bytes(filesystem.cat_file(f"{base}/{file.path}"))
        except FileNotFoundError:
            raise RemovedError(
                f"{where} is missing; the version has it, so it was removed since, by hand or by "
                "`headrace vacuum`; restore it from a backup"
            ) from None
    if len(content) != file.bytes:
        raise _make_error(where, f"{len(content):,} bytes instead of {file.bytes:,}")
    source = pa.BufferReader(content)
    with explain_damage(where):
        if file.footer and file.footer != compute_footer_checksum(read_footer_bytes(source)):
            raise _make_error(where, "another footer")
        source.seek(0)
        try:
            parquet = pq.ParquetFile(source, page_checksum_verification=True)
            table = parquet.read()
        except OSError as error:  # most of what pyarrow says of damaged bytes
            raise ValueError(str(error)) from None
        metadata = parquet.metadata
        groups = tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        if groups != file.row_groups:
            raise _make_error(where, f"row groups of {groups} rows instead of {file.row_groups}")
        trained_on = list(read_checksums(metadata))
        if trained_on and hash_rows(table, trained_on) != file.content:
            raise _make_error(where, "other rows, or in another order")
    return table.replace_schema_metadata(None)


def _make_error(where: str, what: str) -> DamagedError:
    return DamagedError(
        f"{where} is damaged: it has {what}, see the index of the version. Nothing was published. "
        "Restore it from a backup, or run `headrace prepare --full`"
    )
