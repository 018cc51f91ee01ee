"""List files through Spark's own file systems: of stores that this machine reaches by Spark alone.

Such a table has no listing of ours, and is read whole as Spark lists it. What Spark does not tell
is looked at here: whether the folder is a table with a log, or a part of one, and whether it has
files that Spark leaves out.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.lake.logged_files import LogKind
from headrace.lake.table_log import KIND_NAMES, find_log_kind
from headrace.lake.walk import find_info
from headrace.recipe import sections as s
from headrace.source.list_table import list_files, name_table
from headrace.source.listing import FILE_FORMATS, Listing
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What a table with a log has in its folder, where no file can be listed from here; a streaming
# sink's log is obeyed by Spark itself.
_LOGS: tuple[tuple[LogKind, str], ...] = (
    ("delta", "_delta_log"),
    ("iceberg", "metadata/*.metadata.json"),
    ("hudi", ".hoodie"),
)


def list_by_spark(spark: "SparkSession", name: str, table: s.Table) -> Listing | None:
    """List the files of a table through Spark's file systems.

    Args:
        spark: the session.
        name: of the table in the recipe.
        table: the recipe's, which `list_table` could not list.

    Returns:
        its files, without what changes of them could be told by; None where Spark reads by a log.

    Raises:
        LakeError: there is nothing, something cannot be listed, or its files do not all hold rows
            that the table has now.
    """
    if not table.path or table.format not in FILE_FORMATS:
        return None
    scheme, separator, base = table.path.rpartition("://")
    engine = find_engine(spark)
    files = engine.open_store(scheme + separator)
    if files is None:  # it is a server that reaches the store
        for folder, below in _list_folders(engine.resolve_path(table.path)):
            for log_kind, pattern in _LOGS:
                if engine.has_file(f"{folder}{below}{pattern}"):
                    text = _explain_log(folder + below.rstrip("/"), log_kind)
                    raise name_table(LakeError(text), name)
        return None
    base = base.rstrip("/") or "/"
    try:
        info = find_info(files, base)
        kind = find_log_kind(files, base) if info and info["type"] == "directory" else None
        if kind == "sink":
            return None
        if kind in ("delta", "iceberg"):
            raise LakeError(_explain_log(table.path, kind))
        listing, _ = list_files(table, files, base, None)
    except OSError as error:
        raise LakeError(f"table {name!r}: {error}") from None
    except LakeError as error:
        raise name_table(error, name) from None
    return listing


def _list_folders(url: str) -> Iterator[tuple[str, str]]:
    """List where a log may be whose table has files of a path: it, its parents, folders below it.

    Args:
        url: of the path; it may be a pattern.

    Yields:
        a folder, and a pattern of folders below it that ends with a slash.
    """
    scheme, separator, path = url.rstrip("/").rpartition("://")
    yield from ((f"{scheme}{separator}{path}", "/*" * depth + "/") for depth in (0, 1, 2))
    for parent in [*PurePosixPath(path).parents][:-1]:
        yield f"{scheme}{separator}{parent}", "/"


def _explain_log(path: str, kind: LogKind) -> str:
    text = f"{path} is {KIND_NAMES[kind]}, and not all of its files hold rows that it has now"
    if kind not in ("delta", "iceberg"):
        return f"{text}. Write what it has now as Parquet files, and name these"
    return (
        f"{text}. This machine reaches its store by Spark alone: set source.tables.….format to "
        f"{kind}, and put its JAR on the cluster (spark.jars.packages)"
    )
