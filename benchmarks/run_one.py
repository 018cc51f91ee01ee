"""One contender's job in this process: start the session, warm it, run, measure.

Started by `contest.py` as `python -m benchmarks.run_one JOB RESULT`, JOB being JSON.
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.contest import Job
from headrace.recipe.sections import Spark
from headrace.spark_session import spark_session, stop_own_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Work = Callable[["SparkSession | None", Job], dict[str, Any]]

# Headrace's lower limit suits its many small expressions; it would take the rivals' joins out of
# one generated method, and them four times the time. They get Spark's own.
_SPARKS_OWN = {"spark.sql.codegen.hugeMethodLimit": 65535}


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    work = CONTENDERS[job.contender]()
    spark, session_seconds = None, 0.0
    try:
        if job.contender not in WITHOUT_SPARK:
            started = time.monotonic()
            settings = Spark(conf={} if job.contender == "headrace" else _SPARKS_OWN)
            spark = spark_session(
                settings, app_name=f"benchmark {job.contender}", scratch=f"{job.scratch}/spark"
            )
            spark.range(1000).count()
            session_seconds = time.monotonic() - started
        cpu, started = _cpu_seconds(), time.monotonic()
        left = work(spark, job)
        seconds, cpu = time.monotonic() - started, _cpu_seconds() - cpu
        result = {
            "seconds": round(seconds, 3),
            "session_seconds": round(session_seconds, 3),
            "cpu_seconds": round(cpu, 2),
            "driver_python_peak_mib": _peak_mib(),
            "driver_heap_after_gc_mib": _heap_mib(spark) if spark else None,
            "stages": left.get("stages", {}),
            "files": left.get("files") or _files_by_split(job.out),
        }
    finally:
        stop_own_session()
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def _headrace() -> Work:
    from benchmarks.headrace import prepare_clicks

    return lambda _, job: prepare_clicks(job.lake, job.out, job.scratch, tuple(job.extra))


def _plain_spark() -> Work:
    from benchmarks.rivals.plain_spark import prepare_clicks

    return _on_spark(prepare_clicks)


def _spark_ml() -> Work:
    from benchmarks.rivals.spark_ml import prepare_clicks

    return _on_spark(prepare_clicks)


def _polars() -> Work:
    from benchmarks.rivals.polars_memory import prepare_clicks

    def work(_: "SparkSession | None", job: Job) -> dict[str, Any]:
        prepare_clicks(job.lake, job.out)
        return {}

    return work


def _on_spark(prepare_clicks: "Callable[[SparkSession, str, str], None]") -> Work:
    def work(spark: "SparkSession | None", job: Job) -> dict[str, Any]:
        assert spark is not None
        prepare_clicks(spark, job.lake, job.out)
        return {}

    return work


CONTENDERS: dict[str, Callable[[], Work]] = {
    "headrace": _headrace,
    "plain_spark": _plain_spark,
    "spark_ml": _spark_ml,
    "polars": _polars,
}
"""Each imports its engine before the clock runs."""
WITHOUT_SPARK = ("polars",)


def _files_by_split(out: str) -> dict[str, list[str]]:
    return {
        folder.name.partition("=")[2]: sorted(str(path) for path in folder.glob("*.parquet"))
        for folder in Path(out).glob("split=*")
    }


def _cpu_seconds() -> float:
    """User and system time of this process and its children, ended ones included."""
    total, me = 0.0, psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def _peak_mib() -> float:
    """VmHWM; `resource`'s ru_maxrss would start at what the parent had when it forked."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError("/proc/self/status has no VmHWM")


def _heap_mib(spark: "SparkSession") -> float:
    gc.collect()  # py4j lets go of what Python lets go of
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    for _ in range(2):
        jvm.java.lang.System.gc()
        time.sleep(0.5)  # Spark's cleaner works on its own thread
    heap = jvm.java.lang.Runtime.getRuntime()
    return round((heap.totalMemory() - heap.freeMemory()) / 2**20, 1)


if __name__ == "__main__":
    main()
