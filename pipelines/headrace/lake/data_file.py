"""Describe the data files of a dataset version and their row groups: the row-group index.

It is part of a build's record; reading the files is left to `version.py` and `stream/`.
"""

from collections.abc import Collection
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from headrace.lake.safe_path import RelativePath

SPLITS: tuple["SplitName", ...] = ("train", "validation", "test")
SplitName = Literal["train", "validation", "test"]


class PartitionRun(BaseModel):
    """Neighbouring rows of a data file that a build wrote as a file of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: RelativePath
    """Path that the file had: the tallies of its build are of this path."""
    partition: str
    """Source partition that the rows are from."""
    rows: int


class DataFile(BaseModel):
    """One Parquet file of a dataset version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: RelativePath
    """Path relative to the dataset's root, with `/`."""
    split: SplitName
    bytes: int
    row_groups: tuple[int, ...]
    """Rows of each row group, in file order."""
    content: str
    """SHA-256 of the rows in order, hexadecimal: it does not depend on the path."""
    partition: str = ""
    """Source partition that all of its rows are from; empty where the file has runs."""
    footer: str = ""
    """CRC-32 of the file's footer, hexadecimal; empty in versions that were written without."""
    runs: tuple[PartitionRun, ...] = ()
    """Of a file that was rewritten, see `headrace optimize`: the files whose rows it has, in order;
    none of a file that has its rows as their build wrote them."""

    @property
    def rows(self) -> int:
        """Return the rows of all row groups."""
        return sum(self.row_groups)

    def list_runs(self) -> tuple[PartitionRun, ...]:
        """List the source partitions of the rows, in the order of the rows."""
        if self.runs:
            return self.runs
        return (PartitionRun(path=self.path, partition=self.partition, rows=self.rows),)

    def count_rows(self, partitions: Collection[str]) -> int:
        """Count the rows of some source partitions."""
        if not self.runs:
            return self.rows if self.partition in partitions else 0
        return sum(run.rows for run in self.runs if run.partition in partitions)

    @model_validator(mode="after")
    def _check_runs(self) -> "DataFile":
        if self.runs and sum(run.rows for run in self.runs) != self.rows:
            raise ValueError(f"{self.path}: its runs have other rows than its row groups")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_no_runs(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the fields: of a file without runs the same as formats before 11 had."""
        tree: dict[str, Any] = serialize(self)
        if not self.runs:
            tree.pop("runs", None)
        return tree
