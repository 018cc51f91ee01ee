"""Ask a JVM of this process about tables of Spark's catalog and the files that they read."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.spark_engine.engine import FileRelation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def find_relations(frame: "DataFrame") -> list[FileRelation]:
    """Find the Parquet files that a plan reads."""
    root = frame._jdf.queryExecution().analyzed()
    is_table = _is_table_itself(root)
    relations = []
    leaves = root.collectLeaves()
    for position in range(leaves.size()):
        leaf = leaves.apply(position)
        if leaf.getClass().getSimpleName() == "LogicalRelation":
            relation = leaf.relation()
            is_files = relation.getClass().getSimpleName() == "HadoopFsRelation"
            if is_files and "Parquet" in relation.fileFormat().getClass().getSimpleName():
                urls = sorted(str(url) for url in relation.inputFiles())
                columns = [str(name) for name in relation.dataSchema().fieldNames()]
                relations.append(FileRelation(urls, columns, is_table, relation))
    return relations


def _is_table_itself(plan: Any) -> bool:
    """Return whether a plan reads one table, and nothing of it is computed but paddings."""
    while plan.children().size() == 1:
        if plan.getClass().getSimpleName() not in ("SubqueryAlias", "Project"):
            return False
        plan = plan.children().head()
    return bool(plan.getClass().getSimpleName() == "LogicalRelation")


def read_with_names(spark: "SparkSession", relation: Any, names: Mapping[str, str]) -> "DataFrame":
    """Read a relation by the names that its files have."""
    import pyspark.sql.types as T
    from pyspark.sql import DataFrame

    jvm: Any = spark._jvm
    schema = T.StructType.fromJson(json.loads(relation.dataSchema().json()))
    fields = [T.StructField(names.get(f.name, f.name), f.dataType, True) for f in schema.fields]
    typed = jvm.org.apache.spark.sql.types.DataType.fromJson(T.StructType(fields).json())
    copy = jvm.org.apache.spark.sql.execution.datasources.HadoopFsRelation(
        relation.location(),
        relation.partitionSchema(),
        typed,
        relation.bucketSpec(),
        relation.fileFormat(),
        relation.options(),
        spark._jsparkSession,
    )
    return DataFrame(spark._jsparkSession.baseRelationToDataFrame(copy), spark)


def parse_table_name(spark: "SparkSession", name: str) -> list[str]:
    """Return the parts of a table's name.

    Raises:
        ParseException: it is none.
    """
    parts = spark._jsparkSession.sessionState().sqlParser().parseMultipartIdentifier(name)
    return [str(parts.apply(position)) for position in range(parts.size())]


def has_table(spark: "SparkSession", quoted: str) -> bool:
    """Return whether Spark's own catalog has a table or view of a name."""
    catalog, identifier = _open_session_catalog(spark, quoted)
    return bool(catalog.tableExists(identifier))


def find_place(spark: "SparkSession", quoted: str) -> str | None:
    """Find the place of a table in Spark's own catalog; None where it has none."""
    catalog, identifier = _open_session_catalog(spark, quoted)
    uri = catalog.getTableMetadata(identifier).storage().locationUri()
    return str(_make_path(spark, uri.get()).toString()) if uri.isDefined() else None


def qualify_path(spark: "SparkSession", url: str) -> str:
    """Return a URL with the name node or bucket that is meant."""
    path = _make_path(spark, url)
    try:
        system = path.getFileSystem(spark._jsc.hadoopConfiguration())
        return str(system.makeQualified(path).toString())
    except Exception:  # a store whose JAR is missing: its URL is as it was written
        return str(path.toString())


def _open_session_catalog(spark: "SparkSession", quoted: str) -> tuple[Any, Any]:
    """Return Spark's own catalog, and a name as it takes it: it loads no table to look it up, so
    that no JAR of the table's format is needed."""
    state = spark._jsparkSession.sessionState()
    return state.catalog(), state.sqlParser().parseTableIdentifier(quoted)


def _make_path(spark: "SparkSession", place: Any) -> Any:
    """Make a path of Hadoop's of a text, which is not decoded, or of a URI of Java's."""
    jvm: Any = spark._jvm
    return jvm.org.apache.hadoop.fs.Path(place)
