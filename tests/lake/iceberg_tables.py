"""Make Iceberg tables with pyiceberg, in a catalog of SQLite."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles


class _Replacement(_OverwriteFiles):
    """A commit of other files with the same rows, which pyiceberg does not make by itself."""

    def _summary(self, snapshot_properties: Any = None) -> Summary:
        summary = super()._summary(snapshot_properties or {})
        return Summary(Operation.REPLACE, **summary.additional_properties)


def create_table(
    folder: Path, rows: pa.Table, *, by: tuple[str, ...] = (), **options: Any
) -> Table:
    """Create a table at a folder, partitioned by columns as they are; it has no rows yet."""
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}.db", warehouse=f"file://{folder.parent}")
    catalog.create_namespace_if_not_exists("n")
    table = catalog.create_table("n.t", rows.schema, location=f"file://{folder}", **options)
    with table.update_spec() as spec:
        for column in by:
            spec.add_identity(column)
    return table


def rewrite_table(table: Table) -> None:
    """Write all rows into one new file for each partition, without a change, as compaction does."""
    rows = table.scan().to_arrow()
    new = list(_dataframe_to_data_files(table.metadata, rows, table.io))
    with table.transaction() as transaction:
        producer = _Replacement(
            operation=Operation.OVERWRITE, transaction=transaction, io=table.io, branch="main",
            snapshot_properties={},
        )  # fmt: skip
        with producer as update:
            for task in table.scan().plan_files():
                update.delete_data_file(task.file)
            for file in new:
                update.append_data_file(file)


def write_hint(table: Table) -> None:
    """Write the version hint, as a catalog of folders (Hadoop's) does."""
    metadata = Path(table.metadata_location.removeprefix("file://"))
    (metadata.parent / "version-hint.text").write_text(metadata.name.removesuffix(".metadata.json"))


def get_metadata(table: Table) -> str:
    """Return the name of the current metadata file."""
    return table.metadata_location.rpartition("/")[2]
