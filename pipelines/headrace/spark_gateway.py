"""Start the JVM of a local Spark session: one that shows no secret, and does not outlive its start.

PySpark writes all settings on the JVM's command line, which every user of the machine can read, and
leaves the JVM behind where it is interrupted while it waits for it.
"""

import contextlib
import importlib
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.errors import MachineError
from headrace.quiet import open_log, silence_py4j
from headrace.redaction import is_secret_key, redact_text

JAVA_OPTIONS = ("spark.driver.defaultJavaOptions", "spark.driver.extraJavaOptions")
"""Settings with options of the driver's JVM, which has to be started with them."""
# What spark-submit resolves before there is a JVM that could be told of it otherwise.
_SUBMIT_ONLY = ("spark.jars.packages", "spark.jars.repositories", "spark.jars.ivySettings")
_JAVA_VARIABLE = "JDK_JAVA_OPTIONS"
JAVA_VARIABLES = (_JAVA_VARIABLE, "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")
"""Variables of the environment with options of JVMs."""
_STOP_SECONDS = 30.0
# Compile with the first of the JVM's two compilers alone, and collect garbage in one thread: what
# is compiled thoroughly pays back after many seconds. A prepare of 344 rows took 12 s of CPU in the
# JVM, and not 27. Other JVMs than HotSpot pass over options that they lack.
_SHORT_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
)  # fmt: skip


@contextlib.contextmanager
def start_gateway(conf: Mapping[str, str], log: str, is_short: bool = False) -> Iterator[None]:
    """Start the JVM with those settings that hide nothing; end it if the block fails.

    The settings that hold secrets are given to the session through its own connection, by whoever
    creates it in the block. Options of Java that hold secrets are read from a file for this user
    alone, which is removed in the end. Does nothing where the process has a JVM already.

    Args:
        conf: all settings of the session.
        log: file that the JVM writes to, whatever standard error is when it starts.
        is_short: whether its work takes seconds, so that the JVM should not prepare for more.

    Raises:
        MachineError: a secret would have to be on the command line.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    silence_py4j()
    if SparkContext._gateway is not None:
        yield
        return
    shown = {key: value for key, value in conf.items() if not holds_secret(key, value)}
    for key in _SUBMIT_ONLY:
        if key in conf and key not in shown:
            raise MachineError(
                f"spark.conf.{key} holds a secret, which would be on the command line of Spark for "
                "every user of the machine; set it in spark-defaults.conf, readable for you alone"
            )
    options = [conf[key] for key in JAVA_OPTIONS if key in conf and key not in shown]
    # Untyped: PySpark has no other way to its process.
    java_gateway: Any = importlib.import_module("pyspark.java_gateway")
    plain, started = java_gateway.Popen, []

    def start_process(*arguments: Any, **settings: Any) -> Any:
        stream = open_log(log)
        try:
            process = plain(*arguments, **{"stderr": stream, **settings})
        finally:
            os.close(stream)
        started.append(process)
        return process

    java_gateway.Popen = start_process
    try:
        local = conf.get("spark.local.dir", "")
        folder = choose_java_folder(local if Path(local).is_dir() else None)
        with _pass_java_options(options, folder, _SHORT_OPTIONS if is_short else ()):
            settings = SparkConf(loadDefaults=False).setAll(list(shown.items()))
            SparkContext._ensure_initialized(gateway=java_gateway.launch_gateway(settings))
        yield
    except BaseException:
        for process in started:
            process.kill()
            process.wait()
        SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
        SparkSession._instantiatedSession = None
        raise
    finally:
        java_gateway.Popen = plain


def stop_gateway() -> None:
    """End the JVM of this process, if it has one that it started itself."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None or gateway.proc is None:
        return
    with contextlib.suppress(Exception):  # it may be gone
        gateway.shutdown()
    with contextlib.suppress(OSError):
        gateway.proc.stdin.close()
    try:
        gateway.proc.wait(timeout=_STOP_SECONDS)
    except Exception:
        gateway.proc.kill()
        gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None


def holds_secret(key: str, value: str) -> bool:
    """Return whether a setting of Spark holds a secret, by its key or in its value.

    >>> holds_secret("spark.hadoop.fs.s3a.secret.key", "x"), holds_secret("spark.ui.port", "4040")
    (True, False)
    """
    return is_secret_key(key) or redact_text(value) != value


@contextlib.contextmanager
def _pass_java_options(
    options: list[str], folder: str, first: Sequence[str] = ()
) -> Iterator[None]:
    """Give options to the JVMs that are started in the block, by a file where there are any.

    Args:
        options: of Java, quoted as for a shell.
        folder: of their temporary files.
        first: further options, which hold no secret.
    """
    before = os.environ.get(_JAVA_VARIABLE)
    words = [*first, before or "", f"-Djava.io.tmpdir={_quote_word(folder)}"]
    with tempfile.TemporaryDirectory(prefix="headrace-java-") as private:
        if options:
            file = Path(private) / "options"
            lines = [_quote_word(word) for text in options for word in shlex.split(text)]
            file.write_text("\n".join(lines))
            words.append(f"@{file}")
        os.environ[_JAVA_VARIABLE] = " ".join(filter(None, words))
        try:
            yield
        finally:
            if before is None:
                del os.environ[_JAVA_VARIABLE]
            else:
                os.environ[_JAVA_VARIABLE] = before


def choose_java_folder(scratch: str | None) -> str:
    """Choose the folder of Java's temporary files, from which it loads libraries of its own.

    Args:
        scratch: folder that is used where the usual one forbids it; None where there is none.

    Raises:
        MachineError: both forbid it. Compression would fail in the first shuffle.
    """
    usual = tempfile.gettempdir()
    if not forbids_execution(usual):
        return usual
    if scratch is None or forbids_execution(scratch):
        also = f", and so is {scratch}" if scratch else ""
        raise MachineError(
            f"{usual} is mounted with noexec{also}, and Java loads libraries from its temporary "
            "files; set TMPDIR to a folder without noexec, or name a --workdir on such a one"
        )
    return scratch


def forbids_execution(folder: str) -> bool:
    """Return whether the file system of a folder is mounted with `noexec`."""
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def _quote_word(word: str) -> str:
    """Quote a word as Java reads it in such a file, and in the variable."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
