"""List all versions of a dataset or of predictions: when, by which build or job, and whether its
record still exists. No manifest is read."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headrace.errors import DatasetError, RemovedError, UnreachableError
from headrace.lake.build import OptimizedFrom, read_build
from headrace.lake.newest_table import open_newest_table
from headrace.lake.predictions import SCORE_KEY, read_score_record
from headrace.lake.storage import CONCURRENT_REQUESTS, resolve_root
from headrace.lake.version import BUILD_KEY, list_commits, make_missing_error


@dataclass(frozen=True)
class VersionSummary:
    """The few values of a build's record that a list shows; the whole may have megabytes.

    Attributes:
        recipe: name of the recipe.
        headrace_version, git_commit: the code that built the version.
        rows: split -> published rows.
        is_incremental: whether rows of earlier builds are among them.
        restored: version whose rows this one has again; None for others.
    optimized: version whose rows this one has in fewer files; None for others.
    """

    recipe: str
    headrace_version: str
    git_commit: str | None
    rows: dict[str, int]
    is_incremental: bool
    restored: int | None = None
    optimized: OptimizedFrom | None = None


@dataclass(frozen=True)
class VersionEntry:
    """One version of the dataset: a Delta commit, the newest included.

    Attributes:
        version: the Delta version.
        committed: time of the commit, UTC.
        build_id: the build that it names; None where another program made it.
        summary: summary of the build's record; None where that cannot be read.
        problem: why it cannot be read; None also where it was removed, for example by vacuum.
    """

    version: int
    committed: datetime
    build_id: str | None
    summary: VersionSummary | None
    problem: str | None = None


Summarize = Callable[[str, str], VersionSummary]
"""Return the summary of a record, given the root and the id of its build or job."""


def list_versions(root: str) -> list[VersionEntry]:
    """List every version that the table's log has, the oldest first.

    Raises:
        DatasetError: there is no dataset, or its store cannot be reached.
    """
    return _list_entries(root, BUILD_KEY, _summarize_build)


def list_prediction_versions(root: str) -> list[VersionEntry]:
    """List every version of predictions that the table's log has, the oldest first.

    Raises:
        DatasetError: there are none, or their store cannot be reached.
    """
    return _list_entries(root, SCORE_KEY, _summarize_job)


def _list_entries(root: str, key: str, summarize: Summarize) -> list[VersionEntry]:
    root = resolve_root(root)
    table = open_newest_table(root)
    if table is None:
        raise make_missing_error(root)
    commits = sorted(list_commits(root, table), key=lambda c: c["version"])
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        return list(pool.map(lambda commit: _read_entry(root, commit, key, summarize), commits))


def _parse_time(milliseconds: int) -> datetime:
    """Return a time; that of a damaged number is the nearest that there is."""
    limit = 253_402_300_799_000  # the end of the year 9999
    return datetime.fromtimestamp(min(max(milliseconds, 0), limit) / 1000, UTC)


def _summarize_build(root: str, build_id: str) -> VersionSummary:
    build = read_build(root, build_id)
    return VersionSummary(
        recipe=str(build.recipe.get("name", "")),
        headrace_version=build.headrace_version,
        git_commit=build.git_commit,
        rows=build.ledger.published,
        is_incremental=build.is_partial,
        restored=build.restored,
        optimized=build.optimized,
    )


def _summarize_job(root: str, build_id: str) -> VersionSummary:
    record = read_score_record(root, build_id)
    ledger = record.ledger
    return VersionSummary(
        recipe=str(record.recipe.get("name", "")),
        headrace_version=record.headrace_version,
        git_commit=None,
        rows={"scored": ledger.scored},
        is_incremental=ledger != record.processed_ledger,
    )


def _read_entry(
    root: str, commit: Mapping[str, Any], key: str, summarize: Summarize
) -> VersionEntry:
    build_id = commit.get(key)
    summary, problem = None, None
    if build_id:
        try:
            summary = summarize(root, str(build_id))
        except RemovedError:
            pass
        except UnreachableError:
            raise
        except DatasetError as error:
            problem = str(error)
    return VersionEntry(
        version=commit["version"],
        committed=_parse_time(commit["timestamp"]),
        build_id=str(build_id) if build_id else None,
        summary=summary,
        problem=problem,
    )
