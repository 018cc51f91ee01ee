"""Set in a session what rows and values depend on, and refuse a Spark where that cannot be done."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import MachineError
from headrace.progress import Progress, Report
from headrace.recipe.sections import Spark
from headrace.recipe.spark_settings import (
    ALLOWED,
    LEGACY_PREFIX,
    PINNED,
    REFUSED,
    find_unpinned,
    format_setting,
)
from headrace.redaction import is_secret_key, redact_text
from headrace.spark_engine.find_engine import find_engine
from headrace.spark_engine.package_archive import write_archive
from headrace.spark_engine.remote import Remote
from headrace.spark_engine.remote_workers import check_workers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A generated method of more than 8,000 bytes of byte-code is never compiled by the JVM; Spark's own
# limit is 65,535. Measured at 4 million rows of 41 columns: 222 s of CPU in the JVM with the lower
# limit, 371 s without (writing the lake, some 60 s, was part of the second).
SPEED_DEPENDS_ON = {"spark.sql.codegen.hugeMethodLimit": "8000"}
"""Setting -> its value where the recipe has no other."""

# A worker that crashes says where it was, and a page that differs from its checksum is an error
# (by default parquet-mr reads it).
_SEEN_DAMAGE = {
    "spark.sql.execution.pyspark.udf.faulthandler.enabled": "true",
    "parquet.page.verify-checksum.enabled": "true",
}
_OF_SESSION = {key: value for key, value in PINNED.items() if key.startswith("spark.sql.")}
_OF_START = (*REFUSED, *(key for key in PINNED if key not in _OF_SESSION))


def format_settings(settings: Spark) -> dict[str, str]:
    """Return the settings of a recipe's `spark.conf` as Spark takes them."""
    return {key: format_setting(value) for key, value in settings.conf.items()}


def complete_session(session: "SparkSession", settings: Spark) -> "SparkSession":
    """Set what rows and values depend on, whatever the cluster or the caller has set.

    Raises:
        MachineError: Spark was started with a setting that cannot be undone.
    """
    engine = find_engine(session)
    engine.isolate_workers()
    engine.set_settings(_SEEN_DAMAGE)
    where = "spark-defaults.conf or the options of spark-submit"
    _refuse_start_settings(engine.list_start_settings(), where)
    engine.set_settings(_OF_SESSION)
    _unset_legacy(session, (row["key"] for row in session.sql("SET").collect()), settings)
    return session


def complete_remote_session(
    session: "SparkSession",
    remote: Remote | None,
    settings: Spark,
    report: Report,
) -> "SparkSession":
    """Do the same on a server: it may refuse settings, and its workers need this package.

    Args:
        session: of Spark Connect.
        remote: its server; None where the caller opened the session.
        settings: the recipe's.
        report: told of what is other than here, and does not change rows.

    Raises:
        MachineError: it refuses a setting that matters, was started with one that cannot be undone,
            or its workers cannot run what they are sent.
    """
    engine = find_engine(session)
    address = remote.address if remote else "of the running session"
    _set_needed(session, {**format_settings(settings), **_OF_SESSION}, address)
    known = engine.list_start_settings()
    _refuse_start_settings(known, f"the settings of the Spark Connect server {address}")
    _unset_legacy(session, known, settings)
    own = {k: v for k, v in SPEED_DEPENDS_ON.items() if k not in settings.conf}
    if others := engine.set_settings({**_SEEN_DAMAGE, **own}):
        listed = ", ".join(f"{key} ({value})" for key, value in others.items())
        report(Progress(f"the Spark Connect server {address} keeps settings of its own: {listed}"))
    with tempfile.TemporaryDirectory(prefix="headrace-package-") as folder:
        archive = write_archive(folder)
        send_package(session, archive)
    for remark in check_workers(session, Path(archive).name, address):
        report(Progress(remark))
    return session


def send_package(session: "SparkSession", archive: str) -> None:
    """Send the archive of this package to a server, unless its session has it.

    One of the same name has the same modules. Its bytes may differ, because modules are compiled
    since, and a server takes no second archive of a name.
    """
    from pyspark.errors import PySparkException

    try:
        session.addArtifacts(archive, pyfile=True)
    except PySparkException as error:
        if "ARTIFACT_ALREADY_EXISTS" not in str(error):
            raise


def _set_needed(session: "SparkSession", needed: Mapping[str, str], address: str) -> None:
    """Set settings of a server's session.

    Raises:
        MachineError: the server has other values of some of them, and keeps them.
    """
    kept = find_engine(session).set_settings(needed)
    if kept:
        listed = "; ".join(
            f"{key} is {_hide(key, value)}, needed is {_hide(key, needed[key])}"
            for key, value in kept.items()
        )
        raise MachineError(
            f"the Spark Connect server {address} lets no session set what rows depend on, or what "
            f"spark.conf asks for: {listed}. Start the server with these values, or remove from "
            "spark.conf what is set where a server starts"
        )


def _hide(key: str, value: str) -> str:
    return "***" if is_secret_key(key) else redact_text(value)


def _refuse_start_settings(started_with: Mapping[str, str], where: str) -> None:
    """Refuse settings that cannot be undone in a session.

    Raises:
        MachineError: there is one.
    """
    unpinned = find_unpinned(started_with)
    for key in _OF_START:
        if key in unpinned:
            raise MachineError(
                f"Spark was started with {key} = {started_with[key]}, which leaves out files of a "
                f"table; remove it from {where}"
            )


def _unset_legacy(session: "SparkSession", known: Iterable[str], settings: Spark) -> None:
    """Unset what brings back the values of older releases."""
    for key in known:
        is_allowed = key in PINNED or (key in ALLOWED and key in settings.conf)
        if key.startswith(LEGACY_PREFIX) and not is_allowed:
            session.conf.unset(key)
