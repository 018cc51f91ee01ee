"""Define what a reader of one format returns, some rows of a table, and the limits it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from headrace.propose.images import ImageColumn

# Files that are opened, however many there are.
MAX_FILES = 32
# Values that are held at once: fewer rows of a wide table.
MAX_VALUES = 20_000_000


@dataclass(frozen=True)
class SampledRows:
    """Some rows of a table, evenly from the files that were opened.

    Attributes:
        rows: the rows, with Arrow's types as the files have them; values of CSV and JSON are
            texts. Columns in `unusable` are left out.
        table_rows: rows of the whole table, counted or estimated.
        is_counted: whether they were counted.
        is_whole: whether all rows of the table are here, malformed ones aside.
        opened_files: the number of files that were opened.
        reader_options: options that Spark's reader needs.
        unusable: column -> why no feature can be made of it.
        images: column of image files -> their size; none of `rows`.
        spark_conf: settings that Spark needs to read the files at all.
        notes: what else a reader of the recipe should know.
    """

    rows: pa.Table
    table_rows: int
    is_counted: bool
    is_whole: bool
    opened_files: int
    reader_options: Mapping[str, Any] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, ImageColumn] = field(default_factory=dict)
    spark_conf: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
