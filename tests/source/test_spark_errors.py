"""Spark's errors, of hundreds of lines, in one sentence."""

from typing import Any

import pytest

from headrace.errors import LakeError, RecipeMismatchError
from headrace.source.spark_errors import (
    explain_lost_server,
    explain_spark_errors,
    summarize_error,
)

FOOTER = """An error occurred while calling o50.load.
: org.apache.spark.SparkException: [CANNOT_READ_FILE_FOOTER] Could not read footer for file: \
file:/lake/visits/part-0.parquet. Please ensure that the file is in either ORC or Parquet format.
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.cannotReadFooterForFileError(Q.scala:1)
"""
READ = """[FAILED_READ_FILE.NO_HINT] Encountered error while reading file \
s3a://lake/day=1/a.parquet. SQLSTATE: KD001
Caused by: java.io.IOException: could not read page in col [x]
"""
WORKER = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/x/late.py", line 3, in read
    raise LakeError(text)
headrace.errors.LakeError: table 't': a.parquet cannot be read; restore it
"""
OTHER_WORKER = """PythonException:
Traceback (most recent call last):
  File "/x.py", line 1
ValueError: not a number
"""
JAVA = """An error occurred while calling o7.count.
: org.apache.spark.SparkException: Job aborted
\tat x
Caused by: java.lang.ArithmeticException: long overflow
"""
CONNECT_SQL = """[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `nope` cannot be resolved. \
SQLSTATE: 42703; line 1 pos 0;
'Filter ('nope = 1)


JVM stacktrace:
org.apache.spark.sql.catalyst.ExtendedAnalysisException
\tat org.apache.spark.sql.errors.QueryCompilationErrors$.unresolvedAttributeError(Q.scala:551)
"""
CONNECT_PATTERN = """[INVALID_PARAMETER_VALUE.PATTERN] The value of parameter(s) `regexp` in \
`rlike` is invalid: '('. SQLSTATE: 22023

JVM stacktrace:
org.apache.spark.SparkRuntimeException
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.invalidPatternError(Q.scala:2740)
"""
CONNECT_WORKER = """
  An exception was thrown from the Python worker. Please see the stack trace below.
[PYTHON_EXCEPTION] An exception was thrown from the Python worker: \
Traceback (most recent call last):
  File "/x/late.py", line 3, in read
    raise LakeError(text)
headrace.errors.LakeError: table 't': a.parquet cannot be read; restore it
 SQLSTATE: 38000

JVM stacktrace:
org.apache.spark.api.python.PythonException
"""
LOST_SESSION = """[INVALID_HANDLE.SESSION_NOT_FOUND] The handle 5f2d is invalid. \
Session not found. SQLSTATE: HY000
"""
SQL = """[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `nope` cannot be resolved. \
SQLSTATE: 42703; line 1 pos 0;
'Filter ('nope = 1)
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            FOOTER,
            "file:/lake/visits/part-0.parquet is not a readable Parquet file; restore or remove it",
        ),
        (
            READ,
            "s3a://lake/day=1/a.parquet cannot be read: could not read page in col [x]",
        ),
        (
            "[FAILED_READ_FILE] file:/t/a.parquet\n\tat org.X\n"
            "Caused by: java.lang.NegativeArraySizeException\n\tat org.Y",
            "file:/t/a.parquet cannot be read: NegativeArraySizeException",
        ),
        (WORKER, "table 't': a.parquet cannot be read; restore it"),
        (OTHER_WORKER, "ValueError: not a number"),
        (JAVA, "long overflow (ArithmeticException)"),
        (
            SQL,
            "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `nope` cannot be resolved.; "
            "line 1 pos 0",
        ),
        (
            CONNECT_SQL,
            "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `nope` cannot be resolved.; "
            "line 1 pos 0",
        ),
        (
            CONNECT_PATTERN,
            "[INVALID_PARAMETER_VALUE.PATTERN] The value of parameter(s) `regexp` in `rlike` is "
            "invalid: '('",
        ),
        (CONNECT_WORKER, "table 't': a.parquet cannot be read; restore it"),
        (
            LOST_SESSION,
            "the Spark Connect server has ended this session, or was started again; run the "
            "command again",
        ),
        ("x is not a Parquet file", "a file is not a readable Parquet file; restore or remove it"),
        (
            "ParquetDecodingException: bad page",
            "a Parquet file is damaged, Spark 3 does not say which: bad page",
        ),
        (
            "Job aborted due to stage failure: Total size of serialized results of 3 tasks "
            "(1030.5 MiB) is bigger than spark.driver.maxResultSize (1024.0 MiB)",
            "the results of Spark's tasks are 1030.5 MiB, and the driver takes 1024.0 MiB; set "
            "spark.conf.spark.driver.maxResultSize to more (0 for no limit) and "
            "spark.driver.memory to three times as much, or process fewer columns",
        ),
        ("", "unknown error"),
    ],
)
def test_the_sentence_that_a_user_can_act_on(text: str, expected: str) -> None:
    assert summarize_error(text) == expected


def test_timestamps_in_nanoseconds_come_with_the_fix() -> None:
    assert "coerce_timestamps" in summarize_error("Illegal Parquet type: INT64 (TIMESTAMP(NANOS,")


def test_a_jvm_without_memory_says_what_to_set() -> None:
    text = "Job 1 cancelled because SparkContext was shut down"
    assert "spark.conf.spark.driver.memory" in summarize_error(text)


@pytest.mark.spark
def test_an_error_of_spark_says_what_was_done(spark: object) -> None:
    with (
        pytest.raises(LakeError, match=r"^table 't': .*nope.* cannot be resolved"),
        explain_spark_errors("table 't'"),
    ):
        spark.range(1).where("nope = 1").collect()


def test_a_server_that_is_lost_is_an_error_of_the_build() -> None:
    """As Spark's client raises what it has tried for long enough."""
    grpc = pytest.importorskip("grpc")
    from pyspark.errors.exceptions.connect import SparkConnectGrpcException

    with (
        grpc.insecure_channel("127.0.0.1:1") as channel,
        pytest.raises(LakeError, match=r"^recipe 'a': the Spark Connect server is lost \(.*; run"),
        explain_lost_server("recipe 'a'"),
    ):
        try:
            channel.unary_unary("/spark.connect.SparkConnectService/Config")(b"", timeout=20)
        except grpc.RpcError as error:
            raise SparkConnectGrpcException(str(error)) from None


def test_other_errors_pass_for_who_knows_what_was_done() -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException), explain_lost_server("recipe 'a'"):
        raise AnalysisException("no such column")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("\n[PARSE_SYNTAX_ERROR] Syntax error at or near end of input.", RecipeMismatchError),
        ("[UNRESOLVED_COLUMN.WITH_SUGGESTION] `nope` cannot be resolved.", RecipeMismatchError),
        ("[UNRESOLVED_ROUTINE] Cannot resolve routine `nope`.", RecipeMismatchError),
        ("[TABLE_OR_VIEW_NOT_FOUND] The table `t` cannot be found.", LakeError),
        ("[PATH_NOT_FOUND] Path does not exist: file:/lake.", LakeError),
        ("[CANNOT_PARSE_TIMESTAMP] of a row", LakeError),  # says [PARSE_ nowhere
    ],
)
def test_what_no_lake_can_mend_is_the_recipes(text: str, kind: type[LakeError]) -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(LakeError, match="label: ") as caught, explain_spark_errors("label"):
        raise AnalysisException(text)
    assert type(caught.value) is kind
    assert caught.value.exit_code == (2 if kind is RecipeMismatchError else 1)


@pytest.mark.spark
@pytest.mark.parametrize(
    "text",
    [
        "a >", "sum(a) > 1", "count(*) > 1", "any(y)", "row_number()", "rank() over ()", "foo(a)",
        "a.b > 1", "st.zz > 1", "xs['k']", "a + xs", "y + 1", "not a", "cast(a as foo)",
        "length(a, c)", "explode(xs) + 1", "posexplode(xs)", "transform(xs, (x, i, j) -> x)",
        "exists(xs, x -> x)", "date'2020-13-45'", "c like 'a' escape 'bb'", "a[0]", "coalesce()",
        "grouping(a)", "struct(a) > 1", ":p", "*", "from_json(c, c)", "nope > 1",
    ],
)  # fmt: skip
def test_sql_that_no_lake_can_mend_is_of_the_recipe(text: str, spark: Any, capfd: Any) -> None:
    import pyspark.sql.functions as F

    rows = spark.sql("select 1 a, 'x' c, array(1, 2) xs, struct(1 q) st, true y")
    with pytest.raises(RecipeMismatchError), explain_spark_errors("label.expression"):
        _ = rows.withColumn("label", F.expr(text)).schema
    # PySpark logs none of it beside.
    captured = capfd.readouterr()
    assert "QueryContextLogger" not in captured.out + captured.err


@pytest.mark.spark
@pytest.mark.parametrize("text", ["1 / 0 > a", "cast(c as int) > 1", "(select max(a) from later)"])
def test_what_a_lake_can_mend_is_tried_again(text: str, spark: Any) -> None:
    import pyspark.sql.functions as F

    rows = spark.sql("select 1 a, 'x' c")
    with pytest.raises(LakeError) as found, explain_spark_errors("label.expression"):
        rows.withColumn("label", F.expr(text)).collect()
    assert not isinstance(found.value, RecipeMismatchError)
