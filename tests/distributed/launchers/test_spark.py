"""What the Spark launcher makes of an error of the job; the job itself runs in tests/e2e."""

import pytest

from headrace.distributed.launchers.spark import _summarize_error

JOB_ERROR = """An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collect.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed
\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2)
"""


@pytest.mark.parametrize(
    ("error", "summary"),
    [
        (
            RuntimeError(JOB_ERROR),
            ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage "
            "0.0 failed",
        ),
        (RuntimeError("\n  cancelled\nby the user"), "cancelled"),
        (RuntimeError("one\n  an Error of mine  \n"), "an Error of mine"),
        (ConnectionResetError(), "ConnectionResetError"),
        (RuntimeError("Error " + "x" * 600), "Error " + "x" * 494),
    ],
)
def test_the_line_that_names_the_error_is_taken(error: Exception, summary: str) -> None:
    assert _summarize_error(error) == summary
