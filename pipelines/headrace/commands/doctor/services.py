"""Check what is elsewhere: MLflow, the lake's tables, the dataset's store, and the clock."""

import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from headrace.commands.doctor.finding import Finding, report_failure, report_ok, report_warning
from headrace.commands.first_checks import check_writable
from headrace.errors import HeadraceError
from headrace.extras import EXTRAS, list_missing_modules
from headrace.lake.storage import describe_error, open_filesystem, resolve_root
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.environment import find_tracking_uri, limit_requests
from headrace.tracking.preflight import check_store
from headrace.tracking.store import Store, open_client

_TIMEOUT = 10  # seconds
# S3 refuses requests that were signed 15 minutes off; seconds.
_SKEW_FAIL, _SKEW_WARN = 900.0, 30.0


def check_mlflow(recipe: Recipe | None, workdir: str) -> list[Finding]:
    """Check that MLflow answers, and with a recipe all that a training checks of it."""
    uri = find_tracking_uri(recipe.tracking.uri if recipe else None, os.environ)
    if missing := list_missing_modules(EXTRAS["tracking"]):
        text = f"{', '.join(missing)} is not installed: builds are recorded nowhere"
        if not uri:
            return [report_ok("mlflow", text)]
        address = f"{text}, and {redact_text(uri)} is configured"
        return [report_failure("mlflow", address, EXTRAS["tracking"].install_command)]
    if not uri and (recipe is None or not (Path(workdir) / "mlflow" / "mlflow.db").exists()):
        return [
            report_ok("mlflow", f"SQLite and a folder below {workdir}; no server is configured")
        ]
    limit_requests(retries=1, timeout_seconds=_TIMEOUT)
    start = time.monotonic()
    fix = "is it running, and may this host reach it? (tracking.uri, MLFLOW_TRACKING_URI)"
    try:
        if recipe is not None:
            store = Store.from_recipe(recipe, workdir, os.environ)
            obstacle = check_store(store)
        else:
            store = Store(uri=str(uri), experiment="", registered_model="", artifacts=None)
            obstacle = ""
            open_client(store).search_experiments(max_results=1)
    except HeadraceError as error:
        text, _, last = str(error).rpartition("; ")
        return [report_failure("mlflow", text or last, last if text else fix)]
    except Exception as error:
        address = redact_text(str(uri))
        return [report_failure("mlflow", f"{address}: {describe_error(error)[:300]}", fix)]
    if obstacle:
        return [report_failure("mlflow", f"{store.redacted_uri}: {obstacle}", fix)]
    what = "took an artifact and knows the model" if recipe else "answered"
    seconds = time.monotonic() - start
    return [report_ok("mlflow", f"{store.redacted_uri} {what} in {seconds:.1f} s")]


def check_tables(recipe: Recipe) -> list[Finding]:
    """Check that each table of the recipe exists."""
    findings = []
    for name, table in recipe.source.tables.items():
        if table.path is None:
            findings.append(
                report_ok(f"table {name}", f"{table.table} is in Spark's catalog; not checked")
            )
            continue
        redacted_path = redact_text(table.path)
        try:
            files, path = open_filesystem(resolve_root(table.path))
            exists = files.exists(path)
        except Exception as error:
            findings.append(
                report_failure(
                    f"table {name}",
                    f"{redacted_path}: {describe_error(error)[:300]}",
                    "check its store",
                )
            )
            continue
        if exists:
            findings.append(report_ok(f"table {name}", f"{redacted_path} exists"))
        else:
            fix = f"check source.tables.{name}.path, and whether the table was written"
            findings.append(report_failure(f"table {name}", f"{redacted_path} does not exist", fix))
    return findings


def check_dataset(recipe: Recipe) -> list[Finding]:
    """Check that a file can be written, read and removed where versions are published."""
    root = resolve_root(recipe.dataset.path)
    try:
        check_writable(root, "dataset")
    except HeadraceError as error:
        text, _, fix = str(error).rpartition("; ")
        return [
            report_failure("dataset", (text or fix).removeprefix("dataset: "), fix if text else "")
        ]
    redacted_root = redact_text(root)
    return [report_ok("dataset", f"{redacted_root} can be written to, read and removed from")]


def check_clock(recipe: Recipe | None, environment: Mapping[str, str]) -> list[Finding]:
    """Compare this machine's clock with that of a server it works with.

    A server sends its time in the Date header of every response.
    """
    candidates = [
        find_tracking_uri(recipe.tracking.uri if recipe else None, environment),
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"),
    ]
    for url in candidates:
        if not url or not url.startswith("http"):
            continue
        server_time = _fetch_server_time(url)
        if server_time is None:
            continue
        skew = (datetime.now(UTC) - server_time).total_seconds()
        text = f"{abs(skew):.0f} s {'after' if skew > 0 else 'before'} {redact_text(url)}"
        fix = "set it (chrony, systemd-timesyncd): signatures expire, and runs get wrong times"
        if abs(skew) > _SKEW_FAIL:
            return [report_failure("clock", text, fix)]
        return [
            report_warning("clock", text, fix)
            if abs(skew) > _SKEW_WARN
            else report_ok("clock", text)
        ]
    return [
        report_ok(
            "clock", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; no server to compare it with"
        )
    ]


def _fetch_server_time(url: str) -> datetime | None:
    """Return the Date header of a server's response; None where there is no response."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - http(s) only
            date = response.headers.get("Date")
    except urllib.error.HTTPError as error:
        date = error.headers.get("Date")
    except OSError:
        return None
    return parsedate_to_datetime(date) if date else None
