"""Register datasets and predictions as tables of Spark's catalog.

Both are Delta tables, and the catalog keeps no more of one than its name, its format and its place:
what is registered once shows the newest version always.
"""

from typing import TYPE_CHECKING

from headrace.errors import LakeError, get_first_line
from headrace.lake.storage import normalize_s3_scheme
from headrace.redaction import redact_text
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SESSION_CATALOG = "spark_catalog"


def check_registration(spark: "SparkSession", key: str, name: str, root: str) -> bool:
    """Check that a Delta table can be registered, before any work is done.

    Args:
        spark: the session.
        key: of the recipe that says so, for messages.
        name: of the table in the catalog, as `schema.table`.
        root: of the Delta table, which may not exist yet, as `resolve_root` returns it.

    Returns:
        whether it is registered already.

    Raises:
        LakeError: the name is none, or is of another table; its schema does not exist; the catalog
            ends with the session; or this Spark has no JAR of Delta's.
    """
    parts = _parse_name(spark, key, name)
    if _ends_with_session(spark, parts):
        raise LakeError(
            f"{key}: the catalog of this Spark is in memory, so {name} would be gone with the "
            "session; set spark.conf spark.sql.catalogImplementation to hive, or remove the key"
        )
    if _is_taken(spark, parts):
        place = find_place(spark, name)
        if place != _qualify(spark, root):
            where = f"at {redact_text(place)}" if place else "without a place of its own"
            raise LakeError(
                f"{key}: {name} is in the catalog already, {where}, and not the Delta table "
                f"{redact_text(root)}; choose another name, or drop it"
            )
        return True
    schema = _quote(parts[:-1])
    if schema and not spark.catalog.databaseExists(schema):
        raise LakeError(f"{key}: the catalog has no schema {schema}; create it first")
    if not _has_delta(spark, root):
        raise LakeError(
            f"{key}: this Spark cannot register a Delta table; put Delta's JAR on it "
            "(spark.jars.packages), or remove the key"
        )
    return False


def register_table(spark: "SparkSession", key: str, name: str, root: str) -> None:
    """Register a Delta table in Spark's catalog; one that is registered stays as it is.

    Args:
        spark: the session.
        key, name, root: as `check_registration` has them; the Delta table exists.

    Raises:
        LakeError: Spark does not register it.
    """
    quoted = _quote(_parse_name(spark, key, name))
    place = _to_hadoop(spark, root).replace("\\", "\\\\").replace("'", "\\'")
    try:
        spark.sql(f"CREATE TABLE IF NOT EXISTS {quoted} USING delta LOCATION '{place}'")
        found = find_place(spark, name)
    except Exception as error:  # of Spark, Delta or the catalog, each with classes of its own
        raise LakeError(
            f"{key}: {redact_text(root)} is written, and Spark does not register it as {name}: "
            f"{redact_text(get_first_line(error))}; the next run tries again"
        ) from error
    if found != _qualify(spark, root):
        raise LakeError(
            f"{key}: {redact_text(root)} is written, and meanwhile {name} became a table of "
            f"something else ({redact_text(str(found))}); choose another name, or drop it"
        )


def find_place(spark: "SparkSession", name: str) -> str | None:
    """Find the folder or URL of a table in the catalog, in the form that Hadoop gives it.

    Args:
        spark: the session.
        name: of a table that is in the catalog, as `schema.table`.

    Returns:
        None for a view, and for a table without a place.
    """
    parts = _parse_name(spark, "table", name)
    if _is_session_catalog(spark, parts):
        place = find_engine(spark).find_session_place(_quote(parts))
        return None if place is None else normalize_s3_scheme(place)
    rows = spark.sql(f"DESCRIBE TABLE EXTENDED {_quote(parts)}").collect()
    places = [row["data_type"] for row in rows if row["col_name"] == "Location"]
    return _qualify(spark, places[-1]) if places else None


def _parse_name(spark: "SparkSession", key: str, name: str) -> list[str]:
    """Return the parts of a table's name."""
    from pyspark.errors import ParseException

    try:
        return find_engine(spark).parse_table_name(name)
    except ParseException:
        raise LakeError(
            f"{key}: {name!r} is no name of a table; write schema.table, and names with other "
            "characters than letters, digits and _ within backquotes"
        ) from None


def _quote(parts: list[str]) -> str:
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def _is_session_catalog(spark: "SparkSession", parts: list[str]) -> bool:
    """Return whether a name is of Spark's own catalog, and of none that is plugged in."""
    first = parts[0]
    if len(parts) > 1 and spark.conf.get(f"spark.sql.catalog.{first}", None):
        return first == _SESSION_CATALOG
    return len(parts) > 1 or spark.catalog.currentCatalog() == _SESSION_CATALOG


def _is_taken(spark: "SparkSession", parts: list[str]) -> bool:
    """Return whether a catalog has a table or view of a name."""
    if not _is_session_catalog(spark, parts):
        return spark.catalog.tableExists(_quote(parts))
    return find_engine(spark).has_session_table(_quote(parts))


def _ends_with_session(spark: "SparkSession", parts: list[str]) -> bool:
    """Return whether the catalog of a name is no metastore, but the session's memory."""
    kept_in = spark.conf.get("spark.sql.catalogImplementation")
    return kept_in == "in-memory" and _is_session_catalog(spark, parts)


def _has_delta(spark: "SparkSession", root: str) -> bool:
    """Return whether a session has the data source of Delta."""
    try:
        frame = spark.read.format("delta").load(_to_hadoop(spark, root))
        find_engine(spark).resolve_plan(frame)
    except Exception as error:  # that there is no table yet is another error
        return "DATA_SOURCE_NOT_FOUND" not in str(error)
    return True


def _to_hadoop(spark: "SparkSession", root: str) -> str:
    """Return a root as Spark takes it: local ones as URLs, S3 by the scheme that is installed."""
    if "://" not in root:
        return f"file://{root}"
    if root.startswith("s3://") and not find_engine(spark).get_hadoop_setting("fs.s3.impl"):
        return root.replace("s3://", "s3a://", 1)
    return root


def _qualify(spark: "SparkSession", root: str) -> str:
    """Return a root as a catalog has it: the name node or bucket that is meant is in it."""
    return normalize_s3_scheme(find_engine(spark).qualify_path(_to_hadoop(spark, root)))
