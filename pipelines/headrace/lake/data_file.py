"""The row-group index: which files a dataset version has and how their rows are cut."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

SPLITS: tuple["SplitName", ...] = ("train", "validation", "test")
SplitName = Literal["train", "validation", "test"]


class DataFile(BaseModel):
    """One Parquet file of a dataset version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Relative to the dataset's root, with `/`."""
    split: SplitName
    bytes: int
    row_groups: tuple[int, ...]
    """Rows of each row group, in file order."""
    content: str
    """SHA-256 of the rows in order, hexadecimal: equal rows, equal content, whatever the name."""
    partition: str = ""
    """The source partition that all of its rows are from."""
    footer: str = ""
    """CRC-32 of the file's footer, hexadecimal; empty in versions of before there was one."""

    @property
    def rows(self) -> int:
        return sum(self.row_groups)
