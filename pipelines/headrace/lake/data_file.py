"""Describe the data files of a dataset version and their row groups: the row-group index.

It is part of a build's record; reading the files is left to `version.py` and `stream/`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from headrace.lake.safe_path import RelativePath

SPLITS: tuple["SplitName", ...] = ("train", "validation", "test")
SplitName = Literal["train", "validation", "test"]


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
    """Source partition that all of its rows are from."""
    footer: str = ""
    """CRC-32 of the file's footer, hexadecimal; empty in versions that were written without."""

    @property
    def rows(self) -> int:
        """Return the rows of all row groups."""
        return sum(self.row_groups)
