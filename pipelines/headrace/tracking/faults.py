"""Tell faults of MLflow that pass by themselves from those that somebody has to mend.

A server that restarts, is too busy or cut off comes back: its callers wait, each call for itself.
A deleted experiment, an address that is none or a missing right does not, so it is told at once,
with what to do about it.
"""

import errno
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from headrace.errors import HeadraceError, get_first_line
from headrace.progress import Progress, Report
from headrace.redaction import redact_text

Result = TypeVar("Result")

PATIENCE = 60.0
"""Seconds that a call waits for a server to come back."""

_STATUS = re.compile(r"failed with error code (\d{3})")
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_PASSING_CODES = frozenset(
    {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "RESOURCE_CONFLICT",
     "ABORTED", "DEADLINE_EXCEEDED"}
)  # fmt: skip
# Names of exceptions of requests, urllib3, botocore and MLflow, by what they mean.
_LASTING_NAMES = frozenset(
    {"SSLError", "InvalidURL", "InvalidSchema", "MissingSchema", "LocationParseError",
     "NoCredentialsError", "PartialCredentialsError", "ModuleNotFoundError", "ImportError",
     "InvalidUrlException", "UnsupportedModelRegistryStoreURIException", "ProgrammingError"}
)  # fmt: skip
_PASSING_NAMES = frozenset(
    {"ConnectionError", "ConnectTimeout", "ReadTimeout", "Timeout", "MaxRetryError", "RetryError",
     "ProtocolError", "IncompleteRead", "ChunkedEncodingError", "NewConnectionError",
     "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "TimeoutError",
     "ConnectionClosedError", "RemoteDisconnected", "ResponseError"}
)  # fmt: skip
# Errors of the system that do not pass while nobody does anything.
_LASTING_ERRNO = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT,
     errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
)  # fmt: skip
_PASSING_SQL = re.compile(
    r"database is locked|database table is locked|connection refused|could not connect|"
    r"server closed the connection|gone away|lost connection|timed? ?out|too many connections|"
    r"deadlock|starting up|shutting down",
    re.IGNORECASE,
)
# A part of the message -> what to do about it; the first that fits counts.
_FIXES = (
    (r"file(system)? tracking backend|maintenance mode",
     "use a database (sqlite:///…) or a server; `mlflow migrate-filestore` moves what is there"),
    (r"unsupported URI|UnsupportedModelRegistry|Invalid url|InvalidURL|MissingSchema",
     "write an address with its scheme, such as http://HOST:5000 or sqlite:///FILE"),
    (r"No module named", "install the database's driver beside mlflow, or use another store"),
    (r"out-of-date database schema|no such table|no such column",
     "the server's or database's MLflow is of another release: run `mlflow db upgrade URI`, or "
     "install the same release here"),
    (r"file is not a database", "name MLflow's own database, or move this file away"),
    (r"readonly database|unable to open database|Permission denied|Read-only file|Errno 13|"
     r"Errno 30", "give this user the right to write there, or use another address"),
    (r"No such file or directory|Not a directory|Errno 2\b",
     "create that folder, or use another address"),
    (r"database or disk is full|No space left|Errno 28|quota", "free some space"),
    (r"error code 401|UNAUTHENTICATED|Unauthorized",
     "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"),
    (r"error code 403|PERMISSION_DENIED|AccessDenied|Forbidden",
     "ask for the right to write experiments, runs, artifacts and models"),
    (r"NoCredentials|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken",
     "set credentials of the artifact store that are valid (AWS_ACCESS_KEY_ID …)"),
    (r"NoSuchBucket|bucket does not exist", "create the bucket of the artifacts"),
    (r"error code 404|ENDPOINT_NOT_FOUND|not in a valid JSON",
     "this address answers, but not as MLflow does: name MLflow's own, without a page's path"),
    (r"SSL|CERTIFICATE", "set MLFLOW_TRACKING_SERVER_CERT_PATH, or correct http and https"),
    (r"Name or service not known|NameResolution|No address associated",
     "check the name of the host"),
)  # fmt: skip


def is_passing(error: BaseException) -> bool:
    """Return whether a fault of MLflow, its database or its artifact store passes by itself.

    Args:
        error: as MLflow raised it, or a `ModelError` raised from that.
    """
    for cause in _list_causes(error):
        verdict = _judge_cause(cause)
        if verdict is not None:
            return verdict
    return False


def explain_fault(error: BaseException, doing: str, address: str) -> str:
    """Describe a fault that lasts: what failed, the reason, and the fix.

    Args:
        error: the fault.
        doing: what could not be done, for example "an artifact cannot be written".
        address: of the store, to be shown.
    """
    if isinstance(error, HeadraceError):
        return str(error)
    texts = [f"{type(cause).__name__}: {get_first_line(cause)}" for cause in _list_causes(error)]
    reason = redact_text(texts[0])[:300]
    fix = find_fix(" ".join(texts))
    return f"{doing} at {address}: {reason}; {fix}"


def describe_obstacle(error: BaseException) -> str:
    """Describe a fault that passes, by what it began with: `Connection refused` and so on."""
    *_, root = _list_causes(error)
    return redact_text(get_first_line(root) or type(root).__name__)[:200]


def find_fix(text: str) -> str:
    """Return what to do about a fault, by its messages."""
    for pattern, fix in _FIXES:
        if re.search(pattern, text, re.IGNORECASE):
            return fix
    return "check tracking.uri (MLFLOW_TRACKING_URI), and what the server's log says"


def wait_out(
    call: Callable[[], Result],
    report: Report,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Call until no fault that passes is in the way, and return the result.

    Args:
        call: may be repeated.
        report: told once that the server is waited for.
        patience: seconds after which the fault is raised all the same.
        sleep, clock: of seconds.

    Raises:
        Exception: as `call` raised it, of a fault that lasts or has lasted for `patience`.
    """
    deadline, pause, is_told = clock() + patience, 0.5, False
    while True:
        try:
            return call()
        except Exception as error:
            if not is_passing(error) or clock() >= deadline:
                raise
            if not is_told:
                text = f"MLflow does not answer, waiting for it: {describe_obstacle(error)}"
                report(Progress(text))
                is_told = True
        sleep(pause)
        pause = min(2 * pause, 8.0)


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    seen: BaseException | None = error
    for _ in range(12):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _judge_cause(error: BaseException) -> bool | None:
    """Return whether an error passes, from itself alone; None where its cause has to tell."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _LASTING_NAMES:
        return False
    text = str(error)
    if isinstance(error, socket.gaierror) or "NameResolutionError" in names:
        return "Name or service not known" not in text and "No address" not in text
    code = getattr(error, "error_code", None)
    if code is not None:
        return _judge_mlflow_error(str(code), text, is_answer="RestException" in names)
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:  # of botocore
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
        return status in _PASSING_STATUS
    if "DBAPIError" in names or "sqlite3" in type(error).__module__:
        return bool(_PASSING_SQL.search(text))
    if isinstance(error, OSError) and error.errno in _LASTING_ERRNO:
        return False
    if names & _PASSING_NAMES or isinstance(error, ConnectionError | TimeoutError):
        # Its cause may be a lasting one, such as a certificate.
        return None if error.__cause__ or error.__context__ else True
    return None if isinstance(error, HeadraceError) else False


def _judge_mlflow_error(code: str, text: str, *, is_answer: bool) -> bool | None:
    """Return whether an error of MLflow passes; `is_answer` where its server described it."""
    if code in _PASSING_CODES:
        return True
    status = _STATUS.search(text)
    if status:
        return int(status[1]) in _PASSING_STATUS
    if "OperationalError" in text or "DatabaseError" in text:
        return bool(_PASSING_SQL.search(text))
    if code != "INTERNAL_ERROR":
        return False
    return True if is_answer else None
