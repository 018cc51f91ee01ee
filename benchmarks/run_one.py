"""Run one contender's job in this process: start the session, warm it up, run, measure.

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

# Headrace's lower limit suits its many small expressions; it would keep the rivals' joins out of
# whole-stage code generation, where they take four times as long. They get Spark's own limit.
_SPARKS_OWN = {"spark.sql.codegen.hugeMethodLimit": 65535}


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    work = CONTENDERS[job.contender]()
    spark, session_seconds = None, 0.0
    try:
        if job.contender not in WITHOUT_SPARK:
            started = time.monotonic()
            settings = Spark(conf={} if job.contender == "headrace_spark" else _SPARKS_OWN)
            spark = spark_session(
                settings, app_name=f"benchmark {job.contender}", scratch=f"{job.scratch}/spark"
            )
            spark.range(1000).count()
            session_seconds = time.monotonic() - started
        cpu, started = _measure_cpu_seconds(), time.monotonic()
        outcome = work(spark, job)
        seconds, cpu = time.monotonic() - started, _measure_cpu_seconds() - cpu
        result = {
            "seconds": round(seconds, 3),
            "session_seconds": round(session_seconds, 3),
            "cpu_seconds": round(cpu, 2),
            "driver_python_peak_mib": _read_peak_mib(),
            "driver_heap_after_gc_mib": _measure_heap_mib(spark) if spark else None,
            "stages": outcome.get("stages", {}),
            "files": outcome.get("files") or _list_files_by_split(job.out),
        }
    finally:
        stop_own_session()
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def _load_headrace() -> Work:
    from benchmarks.headrace import prepare_clicks

    return lambda _, job: prepare_clicks(job.lake, job.out, job.scratch, tuple(job.extra))


def _load_headrace_spark() -> Work:
    from benchmarks.headrace import prepare_clicks

    def run_headrace(_: "SparkSession | None", job: Job) -> dict[str, Any]:
        return prepare_clicks(job.lake, job.out, job.scratch, tuple(job.extra), with_spark=True)

    return run_headrace


def _load_plain_spark() -> Work:
    from benchmarks.rivals.plain_spark import prepare_clicks

    return _wrap_spark_job(prepare_clicks)


def _load_spark_ml() -> Work:
    from benchmarks.rivals.spark_ml import prepare_clicks

    return _wrap_spark_job(prepare_clicks)


def _load_polars() -> Work:
    from benchmarks.rivals.polars_memory import prepare_clicks

    def run_polars(_: "SparkSession | None", job: Job) -> dict[str, Any]:
        prepare_clicks(job.lake, job.out)
        return {}

    return run_polars


def _wrap_spark_job(prepare_clicks: "Callable[[SparkSession, str, str], None]") -> Work:
    def run_on_spark(spark: "SparkSession | None", job: Job) -> dict[str, Any]:
        assert spark is not None
        prepare_clicks(spark, job.lake, job.out)
        return {}

    return run_on_spark


CONTENDERS: dict[str, Callable[[], Work]] = {
    "headrace": _load_headrace,
    "headrace_spark": _load_headrace_spark,
    "plain_spark": _load_plain_spark,
    "spark_ml": _load_spark_ml,
    "polars": _load_polars,
}
"""Contender -> function that imports its engine, before the clock starts, and returns its work."""
WITHOUT_SPARK = ("polars", "headrace")
"""Headrace starts Spark itself where it needs it: within its seconds."""


def _list_files_by_split(out: str) -> dict[str, list[str]]:
    return {
        folder.name.partition("=")[2]: sorted(str(path) for path in folder.glob("*.parquet"))
        for folder in Path(out).glob("split=*")
    }


def _measure_cpu_seconds() -> float:
    """Measure user and system time of this process and its children, ended ones included."""
    total, own = 0.0, psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def _read_peak_mib() -> float:
    """Read VmHWM; `resource`'s ru_maxrss would start at what the parent had when it forked."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError("/proc/self/status has no VmHWM")


def _measure_heap_mib(spark: "SparkSession") -> float:
    gc.collect()  # py4j releases Java objects whose Python ones are collected
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    for _ in range(2):
        jvm.java.lang.System.gc()
        time.sleep(0.5)  # Spark's cleaner works on its own thread
    heap = jvm.java.lang.Runtime.getRuntime()
    return round((heap.totalMemory() - heap.freeMemory()) / 2**20, 1)


if __name__ == "__main__":
    main()
