"""Start the Spark session of a stage: once, quietly, and the same under `spark-submit`.

Started by `spark-submit` (or in a notebook that has one), the session and its master are the
cluster's and only the settings that results or speed depend on are set. Otherwise a local session
is started on loopback, its JVM's log going to a file. Reading and writing belong to the stages.
"""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import MachineError, get_first_line
from headrace.quiet import redirect_stderr
from headrace.recipe.sections import Spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_RESULTS_DEPEND_ON = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    # Spark 4's default. Spark 3 refuses days before 1582 and times before 1900 without them.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
}

# A generated method of more than 8,000 bytes of byte-code is never compiled by the JVM; Spark's own
# limit is 65,535. Measured at 4 million rows of 41 columns: 222 s of CPU in the JVM with the lower
# limit, 371 s without (writing the lake, some 60 s, was part of the second).
_SPEED_DEPENDS_ON = {"spark.sql.codegen.hugeMethodLimit": "8000"}

# Application ids of sessions that `spark_session` started in this process: one or none.
_started_here: list[str] = []

_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "3g",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
}


def spark_session(settings: Spark, *, app_name: str, scratch: str) -> "SparkSession":
    """Return the running session, or start a new one.

    Args:
        settings: the recipe's `spark` section; its `conf` wins over ours.
        app_name: shown in Spark's own UI.
        scratch: local folder for the log (`spark.log`), shuffle files and the warehouse.

    Raises:
        MachineError: Java is missing, too old, or Spark did not start.
    """
    # Rows go to Python as Arrow here; what PySpark says of pandas 3 is about functions on frames.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    from pyspark.sql import SparkSession

    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    running = SparkSession.getActiveSession()
    builder = SparkSession.builder.appName(app_name)
    conf = _RESULTS_DEPEND_ON | _SPEED_DEPENDS_ON
    if not submitted and running is None:
        check_java()
        folder = Path(scratch).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if settings.master.startswith("local"):  # executors elsewhere must reach the driver
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(settings.master)
        conf |= _LOCAL | {
            "spark.local.dir": str(folder / "spark-local"),
            "spark.sql.warehouse.dir": str(folder / "spark-warehouse"),
        }
    conf |= {key: _text(value) for key, value in settings.conf.items()}
    for key, value in conf.items():
        builder = builder.config(key, value)
    if submitted or running is not None:
        return _with_safe_path(builder.getOrCreate())
    log = folder / "spark.log"
    try:
        with redirect_stderr(str(log)):
            session = builder.getOrCreate()
        _started_here.append(session.sparkContext.applicationId)
        return _with_safe_path(session)
    except Exception as error:
        reason = get_first_line(error) or type(error).__name__
        raise MachineError(
            f"Spark did not start with master {settings.master!r}: {reason}; its log is {log}"
        ) from error


def stop_own_session() -> None:
    """Stop the session and its JVM if `spark_session` started them in this process.

    Under `spark-submit` the session belongs to the cluster and ends with the job.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if not _started_here:
        return
    _started_here.clear()
    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()
    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(timeout=30)
        SparkContext._gateway = SparkContext._jvm = None


@contextmanager
def stop_own_session_afterwards() -> Iterator[None]:
    """Call `stop_own_session` at the end of the block, whether it succeeds or fails."""
    try:
        yield
    finally:
        stop_own_session()


def check_java() -> None:
    """Find Java 17 or newer, as Spark 4 needs.

    Raises:
        MachineError: with the command that would install it.
    """
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java")
    fix = "install it, for example: apt-get install openjdk-17-jre-headless"
    if not java or not Path(java).exists():
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no java on PATH"
        raise MachineError(f"Spark needs Java 17 or newer and {where}; {fix}")
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    words = (done.stderr + done.stdout).split('"')
    major = words[1].split(".")[0] if len(words) > 1 else "?"
    if not major.isdigit() or int(major) < 17:
        raise MachineError(f"Spark needs Java 17 or newer and {java} is version {major}; {fix}")


def _with_safe_path(session: "SparkSession") -> "SparkSession":
    """Keep the working directory out of the search path of Spark's Python workers.

    Spark starts them by `python -m`, which would import a folder `headrace` that lies there.
    """
    session.sparkContext.environment["PYTHONSAFEPATH"] = "1"
    return session


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
