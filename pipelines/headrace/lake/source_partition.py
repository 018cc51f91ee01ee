"""What a dataset version was made of: source partitions, their files, what became of their rows.

A source partition is a folder of the main table such as `month=1`; where the table has none, or
its rows cannot be told apart by file, the whole table is one, named "".
"""

from pydantic import BaseModel, ConfigDict

from headrace.lake.ledger import Ledger


class SourceFile(BaseModel):
    """A file of the lake as it was when a build listed it.

    Two files are the same where all but `rows` are equal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Relative to the table's folder."""
    bytes: int
    changed: str
    """Time of change in ns since 1970, or the ETag of an object store."""
    rows: int | None = None
    """From the Parquet footer; None for other formats."""

    @property
    def identity(self) -> tuple[str, int, str]:
        """What tells whether the file is still the same."""
        return self.path, self.bytes, self.changed


class SourcePartition(BaseModel):
    """A source partition whose rows are in a dataset version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    build_id: str
    """The build that processed it last."""
    files: tuple[SourceFile, ...]
    ledger: Ledger


class Crossing(BaseModel):
    """Rows of one source partition lost against rows of another that have the same dedup key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loser: str
    winner: str
