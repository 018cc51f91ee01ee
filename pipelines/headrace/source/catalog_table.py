"""Load a table of Spark's catalog, whose files may spell its columns otherwise.

Hive knows names in small letters alone, so a table `x, place` may lie over files that have `X` and
`Place`. Headrace tells such names apart, by which every value would be null; so the files are read
by their own names. What `char(n)` fills up with spaces is cut off again.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DatasetError, LakeError
from headrace.lake.storage import open_filesystem
from headrace.source.internal_columns import col
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_CHAR_TYPE = "__CHAR_VARCHAR_TYPE_STRING"
_PARALLEL_FOOTERS = 16


def load_catalog_table(spark: "SparkSession", name: str, table: str) -> "DataFrame":
    """Load a table or view as its catalog declares it, whatever its files call the columns.

    Args:
        spark: the session.
        name: of the table in the recipe, for messages.
        table: its name in the catalog.

    Raises:
        LakeError: only some files, or files below a view, have a column under another case.
    """
    import pyspark.sql.functions as F

    frame = spark.read.table(table)
    declared = frame.schema
    engine = find_engine(spark)
    for relation in engine.find_relations(frame, table):
        spelled = _find_spellings(spark, relation.urls)
        others = {c: found for c in relation.columns if (found := _find_others(c, spelled))}
        if not others:
            continue
        if not relation.is_table:
            column, (other, url) = next(iter(others.items()))
            raise LakeError(
                f"table {name!r} ({table}): it is a view of a table that declares column "
                f"{column!r}, which its file {url} has as {other!r}, so every value would be null; "
                "name that table in the recipe, or declare the column as the files have it"
            )
        renamed = {c: _choose_spelling(name, table, c, spelled) for c in others}
        frame = engine.read_with_names(relation, table, renamed)
        frame = frame.select(*(col(renamed.get(c, c)).alias(c) for c in declared.names))
    padded = {
        f.name for f in declared.fields if str(f.metadata.get(_CHAR_TYPE, "")).startswith("char(")
    }
    if not padded:
        return frame
    return frame.select(
        *(F.rtrim(col(c)).alias(c) if c in padded else col(c) for c in declared.names)
    )


def _find_spellings(spark: "SparkSession", urls: Sequence[str]) -> list[tuple[str, frozenset[str]]]:
    """Return the files of a table and the names of their columns."""

    def read_names(url: str) -> tuple[str, frozenset[str]]:
        filesystem, path = open_filesystem(unquote(url))
        with filesystem.open(path, "rb") as stream:
            return unquote(url), frozenset(pq.read_schema(stream).names)

    try:
        with ThreadPoolExecutor(_PARALLEL_FOOTERS) as pool:
            return list(pool.map(read_names, urls))
    except (OSError, ValueError, ImportError, DatasetError, pa.ArrowException):
        # A store that only Spark knows: its files are looked into by Spark, all of them together.
        if not urls:
            return []
        merged = spark.read.option("mergeSchema", "true").parquet(*urls).schema
        return [(unquote(urls[0]), frozenset(merged.names))]


def _find_others(
    column: str, files: Iterable[tuple[str, frozenset[str]]]
) -> tuple[str, str] | None:
    """Find a file that has a column under another case only: its spelling, and the file."""
    for url, names in files:
        if column not in names:
            for name in sorted(names):
                if name.lower() == column.lower():
                    return name, url
    return None


def _choose_spelling(
    name: str, table: str, column: str, files: list[tuple[str, frozenset[str]]]
) -> str:
    """Return the one spelling of a column in all files that have it."""
    found: dict[str, str] = {}
    for url, names in files:
        for spelling in sorted(names):
            if spelling.lower() == column.lower():
                found.setdefault(spelling, url)
    if len(found) == 1:
        return next(iter(found))
    listed = ", ".join(f"{spelling!r} in {url}" for spelling, url in sorted(found.items()))
    raise LakeError(
        f"table {name!r} ({table}): column {column!r} is {listed}; of a catalog's table one "
        f"spelling is read. Rewrite the files, or name their folder by source.tables.{name}.path"
    )
