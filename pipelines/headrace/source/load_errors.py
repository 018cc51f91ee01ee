"""Say what is wrong with a table that Spark cannot open."""

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.source.spark_errors import explain_spark_errors, summarize_error


@contextmanager
def explain_load_errors(name: str, table: s.Table, where: str) -> Iterator[None]:
    """Turn an error of Spark while it opens a table within the block into one that names the table
    and the key to change.

    Args:
        name: of the table in the recipe.
        table: the recipe's.
        where: its path, or name in the catalog.

    Raises:
        LakeError: there is nothing, or no such format, or its metadata cannot be read.
    """
    from pyspark.errors import AnalysisException

    try:
        yield
    except AnalysisException as error:
        raise LakeError(_describe_load_error(name, table, where, error)) from None
    except Exception as error:
        if "PARAMETER_VALUE.CHARSET" in str(error):
            raise LakeError(_describe_load_error(name, table, where, error)) from None
        if "DATA_SOURCE_NOT_FOUND" in str(error):
            raise LakeError(_describe_missing_format(name, table)) from None
        with explain_spark_errors(f"table {name!r} ({where})"):
            raise
        raise


@contextmanager
def name_table(name: str, table: s.Table) -> Iterator[None]:
    """Have errors about a table's files say which table it is.

    Raises:
        LakeError: the block raised one.
    """
    try:
        yield
    except LakeError as error:
        raise LakeError(f"table {name!r} ({table.path}): {error}") from None


def _describe_load_error(name: str, table: s.Table, where: str, error: Exception) -> str:
    if "PARAMETER_VALUE.CHARSET" in str(error):
        return (
            f"table {name!r} ({where}): Spark reads few encodings by itself, and options.encoding "
            "is another; set spark.conf spark.sql.legacy.javaCharsets to true to have all of Java's"
        )
    condition = getattr(error, "getCondition", getattr(error, "getErrorClass", str))() or ""
    if condition == "PATH_NOT_FOUND":
        return (
            f"table {name!r}: there is nothing at {where}; "
            f"check source.tables.{name}.path (and `lake`)"
        )
    if condition == "UNABLE_TO_INFER_SCHEMA":
        return f"table {name!r}: {where} holds no {table.format} file, so it has no columns"
    if condition == "TABLE_OR_VIEW_NOT_FOUND":
        return (
            f"table {name!r}: Spark's catalog has no table {where}; "
            f"check source.tables.{name}.table"
        )
    if condition == "COLUMN_ALREADY_EXISTS":
        return (
            f"table {name!r} ({where}) has two columns of one name: {summarize_error(str(error))}"
        )
    return f"table {name!r} ({where}): {summarize_error(str(error))}"


def _describe_missing_format(name: str, table: s.Table) -> str:
    return (
        f"table {name!r}: this Spark cannot read {table.format}; put its JAR on the cluster "
        f"(spark.jars.packages) or choose another source.tables.{name}.format"
    )
