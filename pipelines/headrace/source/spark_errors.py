"""Explain Spark's errors in one sentence: what failed, in which table or file, without a stack."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.errors import HeadraceError, InvalidTextError, LakeError, RecipeMismatchError

_FILE = re.compile(r"(?:file:|s3a?:|hdfs:|gs:|abfss?:)[^\s,\]'\")]+\.\w+")

_SERVER_STACK = "\n\nJVM stacktrace:"  # Spark Connect's errors end with it
_MESSAGES = "google.protobuf.message"  # of the errors of what Connect's client writes
_LOST_SESSION = re.compile(r"\[INVALID_HANDLE\.(SESSION|OPERATION)_\w+\]")
_LOST_SERVER = re.compile(
    r"status = StatusCode\.(UNAVAILABLE|DEADLINE_EXCEEDED)\s+details = \"([^\"]*)\""
)
_INVALID_TEXT = re.compile(r"headrace\.errors\.InvalidTextError: (\[.*\])")
_MAX_RESULT = re.compile(
    r"results of \d+ tasks \(([^)]+)\) is bigger than spark\.driver\.maxResultSize"
    r"(?: \(([^)]+)\))?"
)
# What no lake can mend: SQL that Spark cannot parse, names that it cannot resolve, functions that
# are called with what they do not take, aggregates where there is one row.
_OF_RECIPE = re.compile(
    r"\s*\[(PARSE_\w+|UNRESOLVED_(COLUMN|ROUTINE|FIELD)|WRONG_NUM_ARGS|DATATYPE_MISMATCH"
    r"|FIELD_NOT_FOUND|MISSING_(GROUP_BY|AGGREGATION)|WINDOW_FUNCTION_\w+|UDTF_\w+"
    r"|INVALID_(ESC|EXTRACT_\w+|LAMBDA_\w+|NON_DETERMINISTIC_\w+|TYPED_LITERAL|USAGE_\w+"
    r"|WHERE_CONDITION|PARAMETER_VALUE\.PATTERN|SCHEMA\.NON_STRING_LITERAL)"
    r"|UNSUPPORTED_(DATATYPE|EXPR_FOR_\w+|GENERATOR|GROUPING_EXPRESSION)"
    r"|UNBOUND_SQL_PARAMETER)\b"
)
_DAMAGED = re.compile(r"TProtocolException|ParquetDecodingException|InvalidSchemaException")


@contextmanager
def explain_spark_errors(context: str) -> Iterator[None]:
    """Turn an error of Spark inside the block into a `LakeError` that opens with `context`.

    Of SQL that Spark cannot parse or resolve it is a `RecipeMismatchError`.

    Errors that already explain themselves pass through, also those raised in a Python worker.
    """
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except HeadraceError:
        raise
    except (PySparkException, Py4JJavaError) as error:
        if found := _INVALID_TEXT.search(str(error)):
            raise InvalidTextError(found[1]) from None
        text = str(error)
        kind = RecipeMismatchError if _OF_RECIPE.match(text) else LakeError
        raise kind(f"{context}: {summarize_error(text)}") from error
    except Exception as error:
        if type(error).__module__ != _MESSAGES:
            raise
        raise LakeError(
            f"{context}: an expression is nested more deeply than Spark Connect takes; split it "
            "into several rules"
        ) from error


@contextmanager
def explain_lost_server(context: str) -> Iterator[None]:
    """Turn an error of Spark inside the block into a `LakeError` where its server is gone."""
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        if loss := _describe_loss(str(error)):
            raise LakeError(f"{context}: {loss}") from error
        raise


def _describe_loss(text: str) -> str | None:
    """Describe an error of a server of Spark Connect that is gone; None for others."""
    if _LOST_SESSION.search(text):
        return (
            "the Spark Connect server has ended this session, or was started again; run the "
            "command again"
        )
    if lost := _LOST_SERVER.search(text):
        return (
            f"the Spark Connect server is lost ({lost[2]}); run the command again once it is back"
        )
    return None


def summarize_error(text: str) -> str:
    """Return the sentence of an error's text, of hundreds of lines, that a user can act on."""
    if loss := _describe_loss(text):
        return loss
    if found := _MAX_RESULT.search(text):
        return (
            f"the results of Spark's tasks are {found[1]}, and the driver takes "
            f"{found[2] or '1 GiB'}; set spark.conf.spark.driver.maxResultSize to more (0 for no "
            "limit) and spark.driver.memory to three times as much, or process fewer columns"
        )
    if "OutOfMemoryError" in text or "SparkContext was shut down" in text:
        return (
            "Spark's JVM has ended, most often because its heap is too small: set "
            "spark.conf.spark.driver.memory (of a cluster spark.executor.memory) to more, or "
            "dataset.rows_per_file to less; spark.log in the working directory says what it was"
        )
    file = _FILE.search(text)
    inner = re.findall(r"headrace\.errors\.\w+: (.+)", text)
    if inner:
        return str(inner[-1]).strip()
    if "is not a Parquet file" in text or "CANNOT_READ_FILE_FOOTER" in text:
        return (
            f"{file[0] if file else 'a file'} is not a readable Parquet file; restore or remove it"
        )
    if "FAILED_READ_FILE" in text and file:
        cause = re.search(r"Caused by: \S+: ([^\n]+)", text)
        cause = cause or re.search(r"Caused by: (?:[\w.]+\.)?([\w$]+)\s*$", text, re.MULTILINE)
        return f"{file[0]} cannot be read" + (f": {cause[1].strip()}" if cause else "")
    if _DAMAGED.search(text):
        cause = re.search(r"(?:TProtocolException|Parquet\w*Exception): ([^\n]+)", text)
        why = f": {cause[1].strip()}" if cause else ""
        return f"a Parquet file is damaged, Spark 3 does not say which{why}"
    if "TIMESTAMP(NANOS" in text:
        return (
            "a column holds timestamps in nanoseconds, which Spark does not read; write them as "
            'microseconds (pandas: to_parquet(..., coerce_timestamps="us"))'
        )
    if text.startswith("An error occurred while calling"):
        pattern = r"^(?:Caused by)?: (?:[\w.$]+\.)?([\w$]+): ([^\n]+)"
        causes = re.findall(pattern, text, re.MULTILINE)
        if causes:
            return f"{causes[-1][1].strip()} ({causes[-1][0]})"
    worker = re.findall(r"^\s*((?:[\w.]+(?:Error|Exception|Invalid)): .+)$", text, re.MULTILINE)
    if worker and ("PythonException" in text or "thrown from the Python worker" in text):
        return str(worker[-1])
    told = text.partition(_SERVER_STACK)[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    noise = ("at ", "== SQL", "'", "JVM", "py4j")
    first = next((line for line in lines if not line.startswith(noise)), "unknown error")
    sentence = re.sub(r"\s*SQLSTATE: \w+", "", first)
    return sentence.rstrip(";. ")
