"""Describe the source of a dataset version: source partitions, their files and ledgers.

A source partition is a folder of the main table such as `month=1`. Where the table has none, or
its rows cannot be assigned to files, the whole table is one partition, named "". Listing them is
left to `source/`.
"""

from pydantic import BaseModel, ConfigDict

from headrace.lake.ledger import Ledger
from headrace.lake.safe_path import BuildId


class SourceFile(BaseModel):
    """A file of the lake as it was when a build listed it.

    Two files are the same where path, bytes and change are equal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Path relative to the table's folder."""
    bytes: int
    changed: str
    """Time of modification in ns since 1970, or the ETag of an object store."""
    rows: int | None = None
    """Rows according to the Parquet footer; None for other formats."""
    columns: str | None = None
    """Digest of its columns, see `file_columns.py`; None where its footer was not opened."""

    @property
    def identity(self) -> tuple[str, int, str]:
        """Return path, size and change: equal where the file is still the same."""
        return self.path, self.bytes, self.changed


class SourcePartition(BaseModel):
    """A source partition whose rows are in a dataset version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    build_id: BuildId
    """Build that processed it last."""
    files: tuple[SourceFile, ...]
    ledger: Ledger
    hashes: BuildId | None = None
    """Build in whose sidecar the hashes of its keys lie, once they were merged; None where that is
    the one that processed it."""

    @property
    def hashes_build(self) -> str:
        """Return the build in whose sidecar the hashes of its keys lie, if it has any."""
        return self.hashes or self.build_id


class CrossPartitionDuplicate(BaseModel):
    """Two source partitions with rows of equal dedup keys, and whose rows were published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loser: str
    """Source partition whose rows were dropped as duplicates."""
    winner: str
    """Source partition whose rows were published."""
