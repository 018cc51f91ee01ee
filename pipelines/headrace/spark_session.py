"""Start the Spark session of a stage: once, quietly, and the same under `spark-submit`.

Started by `spark-submit` (or in a notebook that has one), the session and its master are the
cluster's and only the settings that results (`recipe/spark_settings.py`) or speed depend on are
set. Where the recipe or the environment names a server of Spark Connect, the session is one of that
server's. Otherwise a local session is started on loopback, its JVM's log going to a file. Reading
and writing belong to the stages.
"""

import locale
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import MachineError, get_first_line, get_text
from headrace.guard import remove_at_end
from headrace.progress import Progress, Report, ignore_progress
from headrace.quiet import keep_interrupt_handler, silence_query_errors
from headrace.recipe.sections import Spark
from headrace.recipe.spark_settings import PINNED
from headrace.redaction import SPARK_PATTERN
from headrace.spark_engine.find_engine import is_remote
from headrace.spark_engine.remote import (
    close_session,
    find_remote,
    forget_connect_mode,
    open_session,
)
from headrace.spark_engine.session_settings import (
    SPEED_DEPENDS_ON,
    complete_remote_session,
    complete_session,
    format_settings,
)
from headrace.spark_gateway import (
    JAVA_OPTIONS,
    JAVA_VARIABLES,
    start_gateway,
    stop_gateway,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_STOP_SECONDS = 30.0

# Between key and value of a line of spark-defaults.conf, which is one of Java's properties.
_SEPARATOR = re.compile(r"\s*[=:\s]\s*")
# Folders of shuffle files of sessions that `spark_session` started in this process: one or none.
_started_here: list[str] = []
# Sessions of a server that it opened in this process: one or none.
_opened_here: "list[SparkSession]" = []

_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "3g",
    # Spark's own default, which a third of this memory is; what one job returns is far less.
    "spark.driver.maxResultSize": "1g",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    # Spark lists folders in as many tasks as there are, of which a machine runs a few at a time
    # (2,000 folders: 12 s of CPU less in the JVM with 32 than with its 10,000).
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "32",
}


def _silence_pyspark() -> None:
    silence_query_errors()
    # Rows go to Python as Arrow here; what PySpark says of pandas 3 is about functions on frames.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)


def spark_session(
    settings: Spark,
    *,
    app_name: str,
    scratch: str,
    report: Report = ignore_progress,
    is_short: bool = False,
) -> "SparkSession":
    """Return the running session, or start a new one.

    Args:
        settings: the recipe's `spark` section; its `conf` goes before ours, but for `PINNED`.
        app_name: shown in Spark's own UI.
        scratch: local folder for the log (`spark.log`), shuffle files and the warehouse.
        report: told what is started, or which server is used, and what differs there.
        is_short: whether its work takes seconds; a JVM that is started here does without what
            pays back later.

    Raises:
        MachineError: Java is missing, too old, or Spark did not start; a server does not answer, or
            was started with settings that would change rows.
    """
    _silence_pyspark()
    from pyspark.sql import SparkSession

    submitted, running = is_submitted(), SparkSession.getActiveSession()
    remote = find_remote(settings.remote)
    if remote is not None and submitted:
        raise MachineError(
            f"spark-submit brought a Spark, and {remote.named_by} names the Spark Connect server "
            f"{remote.address}; start the job without spark-submit, or unset {remote.named_by}"
        )
    if running is not None and is_remote(running):
        return complete_remote_session(running, remote, settings, report)
    if remote is not None:
        report(Progress(f"connecting to Spark at {remote.address} ({remote.named_by})"))
        conf = {**SPEED_DEPENDS_ON, **format_settings(settings), **PINNED}
        of_session = {k: v for k, v in conf.items() if k.startswith("spark.sql.")}
        session = open_session(remote, app_name, of_session)
        _opened_here.append(session)
        return complete_remote_session(session, remote, settings, report)
    report(Progress("starting Spark"))
    builder = SparkSession.builder.appName(app_name)
    conf = {**SPEED_DEPENDS_ON}
    if not submitted and running is None:
        check_java()
        check_user()
        folder = Path(scratch).absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.master.startswith("local"):  # executors elsewhere must reach the driver
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        _prepare_environment()
        builder = builder.master(settings.master)
        shuffle_folder = _make_shuffle_folder(settings.master, folder)
        conf |= _LOCAL | {
            "spark.local.dir": shuffle_folder,
            "spark.sql.warehouse.dir": str(folder / "spark-warehouse"),
        }
    conf |= format_settings(settings)
    conf |= PINNED
    conf.setdefault("spark.redaction.regex", SPARK_PATTERN)
    for key, value in conf.items():
        builder = builder.config(key, value)
    if submitted or running is not None:
        return complete_session(builder.getOrCreate(), settings)
    log = folder / "spark.log"
    try:
        names = {"spark.master": settings.master, "spark.app.name": app_name}
        short = is_short and not _has_java_options(conf)
        with start_gateway({**names, **conf}, str(log), short), keep_interrupt_handler():
            session = builder.getOrCreate()
            session = complete_session(session, settings)
        _started_here.append(shuffle_folder)
        return session
    except MachineError:
        raise
    except Exception as error:
        reason = get_first_line(error) or type(error).__name__
        raise MachineError(
            f"Spark did not start with master {settings.master!r}: {reason}; its log is {log}"
        ) from error


def _prepare_environment() -> None:
    """Set what a Spark of this machine takes from the environment."""
    forget_connect_mode()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if locale.getencoding().upper() != "UTF-8":  # Java could not open é.parquet
        os.environ["LC_ALL"] = "C.UTF-8"


def _has_java_options(conf: Mapping[str, str]) -> bool:
    """Return whether somebody has chosen options of Java, beside which ours might contradict."""
    settings = {**read_cluster_settings(), **conf}
    return any(map(os.environ.get, JAVA_VARIABLES)) or any(map(settings.get, JAVA_OPTIONS))


def is_submitted() -> bool:
    """Return whether spark-submit started this process, and brought its Spark."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def has_session() -> bool:
    """Return whether this process has a session that is running."""
    if "pyspark" not in sys.modules:
        return False
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() is not None


def starts_java(settings: Spark) -> bool:
    """Return whether a stage with these settings starts a JVM on this machine.

    Raises:
        MachineError: the environment names a server by what is no URL.
    """
    return not is_submitted() and find_remote(settings.remote) is None


def _make_shuffle_folder(master: str, scratch: Path) -> str:
    """Make the folder of shuffle files, which nothing else uses and which is removed at the end.

    Executors elsewhere make a folder of the same name, so those of a cluster have one for all runs.
    """
    if not master.startswith("local"):
        return str(scratch / "spark-local")
    folder = tempfile.mkdtemp(prefix="spark-local-", dir=scratch)
    remove_at_end(folder)
    return folder


def stop_own_session() -> None:
    """Stop the session and its JVM if `spark_session` started them in this process.

    Under `spark-submit` the session belongs to the cluster and ends with the job. One of a server
    that was opened here ends there, with all that it runs.
    """
    from pyspark.sql import SparkSession

    while _opened_here:
        close_session(_opened_here.pop())
    if not _started_here:
        return
    folders = list(_started_here)
    _started_here.clear()
    session = SparkSession.getActiveSession()
    if session is not None:
        # In a thread: a JVM that is stuck, or gone, must not keep this process.
        stopping = threading.Thread(target=_stop_session, args=(session,), daemon=True)
        stopping.start()
        stopping.join(_STOP_SECONDS)
    stop_gateway()
    for folder in folders:
        if Path(folder).name != "spark-local":
            shutil.rmtree(folder, ignore_errors=True)


def _stop_session(session: "SparkSession") -> None:
    with suppress(Exception):
        session.stop()


@contextmanager
def stop_own_session_afterwards() -> Iterator[None]:
    """Call `stop_own_session` at the end of the block, whether it succeeds or fails."""
    try:
        yield
    except Exception as error:
        _keep_texts(error)
        raise
    finally:
        stop_own_session()


def _keep_texts(error: BaseException | None) -> None:
    """Have Spark's errors keep their texts, which they would ask the JVM for when it is gone."""
    while error is not None:
        if type(error).__module__.startswith("pyspark.errors"):
            text = get_text(error)
            kind = type(error)
            error.__class__ = type(kind.__name__, (kind,), {"__str__": lambda _, text=text: text})
        error = error.__cause__ or error.__context__


def read_cluster_settings() -> dict[str, str]:
    """Read what `spark-defaults.conf` sets for sessions that are started here."""
    import pyspark

    home = os.environ.get("SPARK_HOME") or str(Path(pyspark.__file__).parent)
    path = Path(os.environ.get("SPARK_CONF_DIR") or f"{home}/conf") / "spark-defaults.conf"
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text(errors="replace").splitlines())
    pairs = (_SEPARATOR.split(line, maxsplit=1) for line in lines if line and line[0] != "#")
    return {pair[0]: pair[1].strip() if len(pair) > 1 else "" for pair in pairs}


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


def check_user() -> None:
    """Check that this process's user has a name, without which Java has no user at all.

    Raises:
        MachineError: it has none.
    """
    number = os.getuid()
    try:
        pwd.getpwuid(number)
    except KeyError:
        raise MachineError(
            f"user id {number} has no entry in the user database, so Java knows no user and Spark "
            f"does not start; add one (as root: echo 'headrace:x:{number}:{os.getgid()}::/tmp:"
            "/bin/sh' >> /etc/passwd), or run as a user of the image (Kubernetes: runAsUser)"
        ) from None
