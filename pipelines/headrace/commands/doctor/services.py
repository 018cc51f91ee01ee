"""What is elsewhere: MLflow, the lake's tables, the dataset's store, and whose clock is right."""

import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from headrace.commands.doctor.finding import Finding, fail, ok, warn
from headrace.errors import HeadraceError
from headrace.lake.storage import absolute_root, delta_options, open_files, said
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.tracking.store import Store, connect

_SECONDS = 10
# S3 refuses what is signed 15 minutes off.
_SKEW_FAIL, _SKEW_WARN = 900.0, 30.0


def mlflow(recipe: Recipe | None, workdir: str) -> list[Finding]:
    """Asks for an experiment, as every run does."""
    uri = (recipe.tracking.uri if recipe else None) or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return [ok("mlflow", f"SQLite and a folder below {workdir}; no server is named")]
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_SECONDS))
    store = Store(uri=uri, experiment="", registered_model="", artifacts=None)
    began = time.monotonic()
    try:
        connect(store).search_experiments(max_results=1)
    except Exception as error:
        fix = "is it running, and may this host reach it? (tracking.uri, MLFLOW_TRACKING_URI)"
        return [fail("mlflow", f"{store.shown}: {said(error)[:300]}", fix)]
    return [ok("mlflow", f"{store.shown} answered in {time.monotonic() - began:.1f} s")]


def tables(recipe: Recipe) -> list[Finding]:
    """Lists each table's place."""
    found = []
    for name, table in recipe.source.tables.items():
        if table.path is None:
            found.append(ok(f"table {name}", f"{table.table} is in Spark's catalog; not looked at"))
            continue
        shown = redact_text(table.path)
        try:
            files, place = open_files(absolute_root(table.path))
            there = files.exists(place)
        except Exception as error:
            found.append(fail(f"table {name}", f"{shown}: {said(error)[:300]}", "see its store"))
            continue
        if there:
            found.append(ok(f"table {name}", f"{shown} is there"))
        else:
            fix = f"see source.tables.{name}.path, and whether it was written"
            found.append(fail(f"table {name}", f"{shown} is not there", fix))
    return found


def dataset(recipe: Recipe) -> list[Finding]:
    """Writes, reads and removes a file where versions are to go."""
    root = absolute_root(recipe.dataset.path)
    shown = redact_text(root)
    probe = f"{root}/_headrace/doctor-{uuid.uuid4().hex}"
    step = "be reached"
    try:
        delta_options(root)
        files, place = open_files(probe)
        step = "be written to"
        made = _make_folder(place.rpartition("/")[0]) if "://" not in root else []
        files.pipe_file(place, b"headrace")
        step = "be read"
        assert files.cat_file(place) == b"headrace"
        step = "be removed from"
        files.rm_file(place)
        for folder in made:
            folder.rmdir()
    except HeadraceError as error:
        return [fail("dataset", str(error), "")]
    except Exception as error:
        fix = "it needs rights to list, read, write and delete below it"
        return [fail("dataset", f"{shown} cannot {step}: {said(error)[:300]}", fix)]
    return [ok("dataset", f"{shown} can be written to, read and removed from")]


def _make_folder(path: str) -> list[Path]:
    """Make a folder and those above it; returns those that were not there, deepest first."""
    folder = Path(path)
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def clock(recipe: Recipe | None, environment: Mapping[str, str]) -> list[Finding]:
    """This machine's clock beside that of a server it works with, which says in every answer."""
    candidates = [
        (recipe.tracking.uri if recipe else None) or environment.get("MLFLOW_TRACKING_URI"),
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"),
    ]
    for url in candidates:
        if not url or not url.startswith("http"):
            continue
        told = _date_of(url)
        if told is None:
            continue
        skew = (datetime.now(UTC) - told).total_seconds()
        what = f"{abs(skew):.0f} s {'after' if skew > 0 else 'before'} {redact_text(url)}"
        fix = "set it (chrony, systemd-timesyncd): signatures expire, and runs have wrong times"
        if abs(skew) > _SKEW_FAIL:
            return [fail("clock", what, fix)]
        return [warn("clock", what, fix) if abs(skew) > _SKEW_WARN else ok("clock", what)]
    return [ok("clock", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; no server to compare it with")]


def _date_of(url: str) -> datetime | None:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - http(s) only
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        date = error.headers.get("Date")
    except OSError:
        return None
    return parsedate_to_datetime(date) if date else None
