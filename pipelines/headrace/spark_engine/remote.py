"""Find the server of Spark Connect that a recipe or the environment names, and open a session.

Whether a server answers is asked before Spark's client does, which tries for ten minutes; and what
it would refuse is compared with what rows depend on.
"""

import importlib.util
import os
import socket
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.errors import MachineError, get_first_line
from headrace.redaction import redact_text
from headrace.spark_engine.connect import call_briefly

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEME = "sc://"
REMOTE_KEY = "spark.remote"
REMOTE_VARIABLE = "SPARK_REMOTE"
_MODE_VARIABLE = "SPARK_CONNECT_MODE_ENABLED"  # PySpark's own, which a session leaves behind
_DEFAULT_PORT = 15002
_REACH_SECONDS = 20.0
# A connection that is lost is tried again for some two minutes (0.05 s, four times as long each
# time, at most a minute); Spark's own client goes on for ten, and nobody knows what it waits for.
_RETRIES = 7
_RETRY_LIMIT, _RETRY_SECONDS = "_max_retry_exception_elapsed_time", 120.0


@dataclass(frozen=True)
class Remote:
    """A server of Spark Connect.

    Attributes:
        url: sc://host:port, with parameters that may hold a token.
        named_by: key or variable that names it, for messages.
    """

    url: str
    named_by: str

    @property
    def address(self) -> str:
        """Return host and port, without parameters."""
        return SCHEME + self.url.removeprefix(SCHEME).partition("/")[0].rpartition("@")[2]


def find_remote(url: str | None, environment: Mapping[str, str] = os.environ) -> Remote | None:
    """Find the server that the recipe names, or the environment as Spark's own tools take it.

    Args:
        url: the recipe's `spark.remote`.
        environment: of the process.

    Returns:
        None where Spark runs here, or where spark-submit put it.

    Raises:
        MachineError: the environment names none by a URL.
    """
    if url:
        return Remote(url, REMOTE_KEY)
    named = environment.get(REMOTE_VARIABLE, "")
    if not named:
        return None
    if not named.startswith(SCHEME):
        raise MachineError(
            f"{REMOTE_VARIABLE} is {redact_text(named)!r}, expected {SCHEME}host:port of a Spark "
            "Connect server; to start a local Spark, unset it and set spark.master"
        )
    return Remote(named, REMOTE_VARIABLE)


def open_session(remote: Remote, app_name: str, settings: Mapping[str, str]) -> "SparkSession":
    """Open a session on a server, with those of the settings that it takes.

    Args:
        remote: the server.
        app_name: for people who look at the server.
        settings: of the session.

    Raises:
        MachineError: the client's packages are missing, the server does not answer, refuses, or is
            one of Spark 3; or a session without a server runs in this process.
    """
    _check_client()
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if SparkContext._active_spark_context is not None:
        raise MachineError(
            f"{remote.named_by} names the Spark Connect server {remote.address}, and a Spark "
            f"session of another kind runs in this process; stop it, or unset {remote.named_by}"
        )
    _check_reachable(remote)
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]")
    builder = SparkSession.builder.remote(remote.url).appName(app_name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that it does not take, which are compared
            session = builder.getOrCreate()
        _limit_retries(session)
        release = session.version
    except Exception as error:  # of Spark or gRPC: no access, no such user, no such cluster
        forget_connect_mode()
        reason = redact_text(_describe_error(error))
        raise MachineError(
            f"the Spark Connect server {remote.address} ({remote.named_by}) opened no session: "
            f"{reason}"
        ) from None
    if release.startswith("3."):
        close_session(session)
        raise MachineError(
            f"the Spark Connect server {remote.address} is Spark {release}, expected 4.0 or newer; "
            "start Headrace with spark-submit there"
        )
    return session


def close_session(session: "SparkSession") -> None:
    """End what a session runs on its server, and the session."""
    call_briefly(session.interruptAll)
    call_briefly(session.stop)
    forget_connect_mode()


def forget_connect_mode() -> None:
    """Have later sessions of this process and its children be of the kind that they ask for.

    PySpark leaves a variable behind with which no session starts without a server: one of this
    process, or of a notebook that started it.
    """
    os.environ.pop(_MODE_VARIABLE, None)


def _check_client() -> None:
    """Check that the packages of PySpark's client are there."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it prints what it also raises
    names = ("grpc", "grpc_status", "google.rpc", "pandas", "zstandard")
    missing = []
    for name in names:
        try:
            is_there = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            is_there = False
        if not is_there:
            missing.append(name)
    if missing:
        raise MachineError(
            f"Spark Connect needs Python packages that are not installed ({', '.join(missing)}); "
            "install them with: pip install 'headrace[connect]'"
        )


def _check_reachable(remote: Remote) -> None:
    """Check that the server answers, by the very channel that the session will have.

    Raises:
        MachineError: it does not, or its URL is none.
    """
    import grpc
    from pyspark.sql.connect.client import DefaultChannelBuilder

    try:
        channel: Any = DefaultChannelBuilder(remote.url).toChannel()
    except Exception as error:  # of PySpark, for what is no such URL
        reason = redact_text(_describe_error(error))
        raise MachineError(
            f"{remote.named_by} is no URL of a Spark Connect server: {reason}; expected "
            f"{SCHEME}host:port/;key=value"
        ) from None
    states: list[Any] = []
    done = threading.Event()

    def note_state(state: Any) -> None:
        states.append(state)
        if state in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
            done.set()

    channel.subscribe(note_state, try_to_connect=True)
    done.wait(_REACH_SECONDS)
    is_ready = bool(states) and states[-1] == grpc.ChannelConnectivity.READY
    channel.close()
    if not is_ready:
        raise MachineError(
            f"the Spark Connect server {remote.address} ({remote.named_by}) does not answer: "
            f"{_find_reason(remote)}; is it running, and may this host reach it?"
        )


def _find_reason(remote: Remote) -> str:
    """Find why a server is not reached, in the words of the system."""
    parts = urlsplit(f"//{remote.address.removeprefix(SCHEME)}")
    try:
        with socket.create_connection((parts.hostname, parts.port or _DEFAULT_PORT), timeout=5):
            return "something listens there that does not speak gRPC, or not with this use_ssl"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)


def _limit_retries(session: "SparkSession") -> None:
    """Have a lost connection be tried again for minutes, and not for ten of them."""
    with suppress(Exception):  # a client of another release: its own limits
        from pyspark.sql.connect.client.retries import DefaultPolicy

        client: Any = session.client
        client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
        # What it does over and over without a pause where a server knows its operation no more.
        if hasattr(client, _RETRY_LIMIT):
            setattr(client, _RETRY_LIMIT, _RETRY_SECONDS)


def _describe_error(error: Exception) -> str:
    details = getattr(error, "details", None)  # gRPC's own
    text = str(details()) if callable(details) else get_first_line(error)
    return text or type(error).__name__
