"""Why the Python of a server's tasks cannot run Headrace, in words that say what to do."""

import sys

import pytest

from headrace.spark_engine.remote_workers import _explain_failure

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER_PYTHON = """
  An exception was thrown from the Python worker. Please see the stack trace below.
pyspark.errors.exceptions.base.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker has \
different version: 3.9 than that in driver: 3.11, PySpark cannot run with different minor versions.
Please check environment variables PYSPARK_PYTHON and PYSPARK_DRIVER_PYTHON are correctly set.
"""
NO_PACKAGE = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "headrace/transform/arrow.py", line 9, in <module>
    import pyarrow as pa
ModuleNotFoundError: No module named 'pyarrow'
"""
OTHER = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "a.py", line 9, in <module>
ImportError: libarrow.so.2500: cannot open shared object file
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OTHER_PYTHON, f"run another Python (3.9) than this one, {HERE}, and "),
        (NO_PACKAGE, "have no Python package 'pyarrow'; install"),
        (OTHER, "cannot run Headrace: ImportError: libarrow.so.2500: cannot open shared object"),
        ("", "cannot run Headrace: no reason given"),
    ],
)
def test_why(text: str, expected: str) -> None:
    assert _explain_failure(text).startswith(expected)
