"""Ask a server of Spark Connect about tables of its catalog, by SQL and by their files."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headrace.errors import LakeError
from headrace.spark_engine.engine import FileRelation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TABLES = ("MANAGED", "EXTERNAL")
_PART = re.compile(r"`((?:[^`]|``)+)`|([^`.]+)")
# A table whose Parquet files are read. Files that a view reads by their path have their own names.
_SCANNED = re.compile(r"Scan parquet ([^\[\s]+)\[")
_DETAILS = "# Detailed Table Information"
_PARTITIONING = "# Partition Information"


def describe_table(spark: "SparkSession", table: str) -> dict[str, str]:
    """Describe a table: Location, Provider, Type and the like, as far as its catalog says."""
    rows = spark.sql(f"DESCRIBE TABLE EXTENDED {table}").collect()
    names = [row["col_name"] for row in rows]
    if _DETAILS not in names:
        return {}
    details = rows[names.index(_DETAILS) + 1 :]  # before them are columns, of whatever names
    return {row["col_name"]: row["data_type"] for row in details if row["data_type"]}


def find_relations(
    spark: "SparkSession", frame: "DataFrame", table: str, plan: str
) -> list[FileRelation]:
    """Find the Parquet files that a table or view reads.

    Args:
        spark: the session.
        frame: rows of the table.
        table: its name in the catalog.
        plan: text of the frame's plan, which names the tables whose files are read.
    """
    described = describe_table(spark, table)
    if described.get("Type") not in _TABLES:
        tables = dict.fromkeys(_quote_name(name) for name in _SCANNED.findall(plan))
        return [_list_files(spark.read.table(name), False, {}) for name in tables]
    return [_list_files(frame, True, described)] if _SCANNED.search(plan) else []


def _list_files(frame: "DataFrame", is_table: bool, handle: Mapping[str, str]) -> FileRelation:
    urls = sorted(str(url) for url in frame.inputFiles())
    return FileRelation(urls, frame.columns, is_table, handle)


def _quote_name(name: str) -> str:
    """Quote a table's name, whose parts plans write without quotes."""
    return ".".join(f"`{part}`" for part in name.split("."))


def _is_plain_parquet(described: Mapping[str, str]) -> bool:
    """Return whether the rows of a table are all rows of its files, as those of Delta are not."""
    provider, serde = described.get("Provider", ""), described.get("Serde Library", "")
    return provider == "parquet" or (provider == "hive" and "parquet" in serde.lower())


def read_with_names(
    spark: "SparkSession", relation: FileRelation, table: str, names: Mapping[str, str]
) -> "DataFrame":
    """Read the files of a table by the names that they have for its columns.

    Raises:
        LakeError: its rows are not those of its files, or these are not all below its place, in
            folders of its partition columns: only the catalog knows what they are.
    """
    import pyspark.sql.types as T

    if not _is_plain_parquet(relation.handle):
        kind = relation.handle.get("Provider", "unknown")
        raise LakeError(
            f"table {table}: its files have other names of columns than it declares, and rows of a "
            f"table of format {kind} are not read from files through Spark Connect; declare the "
            "columns as the files have them"
        )
    place = qualify_path(relation.handle.get("Location", "").rstrip("/"), None)
    partitions = _list_partition_columns(spark, table)
    for url in relation.urls:
        path = qualify_path(unquote(url), None)
        inside = path.startswith(f"{place}/")
        folders = path.removeprefix(f"{place}/").split("/")[:-1] if inside else []
        if not inside or [folder.partition("=")[0] for folder in folders] != partitions:
            raise LakeError(
                f"table {table}: its files have other names of columns than it declares, and "
                f"{unquote(url)} is not in a folder of its partition columns, so that they cannot "
                "be read through Spark Connect; name their folder by source.tables, path"
            )
    declared = spark.read.table(table).schema
    fields = [T.StructField(names.get(f.name, f.name), f.dataType, True) for f in declared.fields]
    reader = spark.read.schema(T.StructType(fields)).option("basePath", place)
    return reader.parquet(*relation.urls)


def _list_partition_columns(spark: "SparkSession", table: str) -> list[str]:
    rows = [row["col_name"] for row in spark.sql(f"DESCRIBE TABLE {table}").collect()]
    if _PARTITIONING not in rows:
        return []
    return [name for name in rows[rows.index(_PARTITIONING) + 1 :] if not name.startswith("#")]


def parse_table_name(spark: "SparkSession", name: str) -> list[str]:
    """Return the parts of a table's name.

    Raises:
        ParseException: it is none.
    """
    from pyspark.errors import AnalysisException, ParseException

    try:
        spark.catalog.tableExists(name)
    except ParseException:
        raise
    except AnalysisException:  # there is no such catalog; who looks for the table says so
        pass
    return [
        (match[1] or "").replace("``", "`") or match[2].strip() for match in _PART.finditer(name)
    ]


def qualify_path(url: str, default: str | None) -> str:
    """Return a URL as Hadoop's paths have it.

    Args:
        url: of a folder or file.
        default: file system of URLs that name none; None where it is not known.

    >>> qualify_path("file:///a/b", None), qualify_path("hdfs:///a", "hdfs://names:8020")
    ('file:/a/b', 'hdfs://names:8020/a')
    """
    if url.startswith("file:"):
        return "file:/" + url.removeprefix("file:").lstrip("/")
    scheme, separator, rest = url.partition(":///")
    if separator and default and default.startswith(f"{scheme}://"):
        return f"{default.rstrip('/')}/{rest}"
    return url.rstrip("/")
