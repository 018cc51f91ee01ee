"""Spark's errors, of hundreds of lines, in one sentence."""

import pytest

from headrace.errors import LakeError
from headrace.source.spark_errors import explain_spark_errors, summarize_error

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
        ("x is not a Parquet file", "a file is not a readable Parquet file; restore or remove it"),
        (
            "ParquetDecodingException: bad page",
            "a Parquet file is damaged, Spark 3 does not say which: bad page",
        ),
        ("", "unknown error"),
    ],
)
def test_the_sentence_that_a_user_can_act_on(text: str, expected: str) -> None:
    assert summarize_error(text) == expected


def test_timestamps_in_nanoseconds_come_with_the_fix() -> None:
    assert "coerce_timestamps" in summarize_error("Illegal Parquet type: INT64 (TIMESTAMP(NANOS,")


@pytest.mark.spark
def test_an_error_of_spark_says_what_was_done(spark: object) -> None:
    with (
        pytest.raises(LakeError, match=r"^table 't': .*nope.* cannot be resolved"),
        explain_spark_errors("table 't'"),
    ):
        spark.range(1).where("nope = 1")


def test_other_errors_pass() -> None:
    with pytest.raises(LakeError, match=r"^as it is$"), explain_spark_errors("table 't'"):
        raise LakeError("as it is")
    with pytest.raises(KeyError), explain_spark_errors("table 't'"):
        raise KeyError("x")
