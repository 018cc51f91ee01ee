"""What a reader of one format gives: some rows of a table, as they are in its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

# Files that are opened, whatever the number there is.
MOST_FILES = 32
# Values that are held at once: of a wide table fewer rows.
MOST_VALUES = 20_000_000


@dataclass(frozen=True)
class Read:
    """Some rows.

    Attributes:
        rows: evenly from the files that were opened; Arrow's types as they are, but texts of CSV
            and JSON are texts. Columns that are in `unusable` are left out.
        table_rows: of the whole table, counted or estimated.
        counted: whether they were counted.
        whole: whether all of them are here, but those that are no rows.
        files: that were opened.
        options: that Spark's reader needs.
        unusable: column -> why no feature can be made of it.
        spark: settings that Spark needs to read the files at all.
        notes: what else a reader of the recipe should know.
    """

    rows: pa.Table
    table_rows: int
    counted: bool
    whole: bool
    files: int
    options: Mapping[str, Any] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    spark: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
