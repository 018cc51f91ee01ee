"""List files through Spark's own file systems: of stores that this machine reaches by Spark alone.

Such a table has no listing of ours, and is read whole as Spark lists it. What Spark does not tell
is looked at here: whether the folder is a table with a log, or a part of one, and whether it has
files that Spark leaves out.
"""

from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.lake.table_log import KIND_NAMES, find_log_kind
from headrace.lake.walk import find_info
from headrace.recipe import sections as s
from headrace.source.list_table import list_files, name_table
from headrace.source.listing import FILE_FORMATS, Listing

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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
    files = HadoopFiles(spark, scheme + separator)
    base = base.rstrip("/") or "/"
    try:
        info = find_info(files, base)
        kind = find_log_kind(files, base) if info and info["type"] == "directory" else None
        if kind == "sink":
            return None
        if kind in ("delta", "iceberg"):
            raise LakeError(
                f"{table.path} is {KIND_NAMES[kind]}, and not all of its files hold rows that it "
                "has now. This machine reaches its store by Spark alone: set "
                f"source.tables.….format to {kind}, and put its JAR on the cluster "
                "(spark.jars.packages)"
            )
        listing, _ = list_files(table, files, base, None)
    except OSError as error:
        raise LakeError(f"table {name!r}: {error}") from None
    except LakeError as error:
        raise name_table(error, name) from None
    return listing


class HadoopFiles:
    """The part of fsspec's interface that a listing needs, by Hadoop's.

    Sizes and times are left out: each would be one more question to the JVM for every file.

    Attributes:
        protocol: as of fsspec's file systems.
    """

    protocol = "hadoop"

    def __init__(self, spark: "SparkSession", scheme: str) -> None:
        """
        Args:
            spark: the session, which knows the stores.
            scheme: in front of all paths, such as `hdfs://`; may be empty.
        """
        self._paths: Any = spark._jvm.org.apache.hadoop.fs.Path  # type: ignore[union-attr]
        self._conf: Any = spark._jsc.hadoopConfiguration()
        self._scheme = scheme

    def info(self, path: str) -> dict[str, Any]:
        """Return the name and type of a path.

        Raises:
            FileNotFoundError: there is nothing.
            OSError: it cannot be looked at.
        """
        return _describe(path, self._call("getFileStatus", path))

    def ls(self, path: str, detail: bool = False) -> list[Any]:
        """List a folder; with the types of what is in it where `detail` says so.

        Raises:
            FileNotFoundError: there is nothing.
            NotADirectoryError: it is a file.
            OSError: it cannot be listed.
        """
        if not self._call("getFileStatus", path).isDirectory():
            raise NotADirectoryError(path)
        entries = [
            _describe(f"{path.rstrip('/')}/{status.getPath().getName()}", status)
            for status in self._call("listStatus", path)
        ]
        return entries if detail else [entry["name"] for entry in entries]

    def _call(self, method: str, path: str) -> Any:
        from py4j.protocol import Py4JJavaError

        try:
            where = self._paths(self._scheme + path)
            return getattr(where.getFileSystem(self._conf), method)(where)
        except Py4JJavaError as error:
            cause = error.java_exception
            kind = str(cause.getClass().getSimpleName())
            message = f"{self._scheme}{path} cannot be listed: {kind}: {cause.getMessage()}"
            if kind == "FileNotFoundException":
                raise FileNotFoundError(message) from None
            raise OSError(message) from None


def _describe(path: str, status: Any) -> dict[str, Any]:
    kind = "directory" if status.isDirectory() else "file"
    return {"name": path, "type": kind, "size": 0, "mtime": ""}
