"""All versions of a dataset: when, by which build, and whether they can still be read."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headrace.errors import DatasetError, RemovedError, UnreachableError
from headrace.lake.build import read_build
from headrace.lake.storage import absolute_root, reaching
from headrace.lake.version import BUILD_KEY, newest_table

_AT_ONCE = 16  # requests to the store


@dataclass(frozen=True)
class Summary:
    """What is shown of a version in a list: a build's whole record may have megabytes.

    Attributes:
        recipe: its name.
        headrace_version, git_commit: the code that built it.
        rows: split -> published rows.
        partial: whether rows of an earlier build are among them.
    """

    recipe: str
    headrace_version: str
    git_commit: str | None
    rows: dict[str, int]
    partial: bool


@dataclass(frozen=True)
class PastVersion:
    """One Delta commit.

    Attributes:
        version: the Delta version.
        committed: when.
        build_id: of the commit; None where another program made it.
        summary: of what the build recorded; None where it cannot be read.
        trouble: why it cannot; None where it was removed, by vacuum for example.
    """

    version: int
    committed: datetime
    build_id: str | None
    summary: Summary | None
    trouble: str | None = None


def versions_of(root: str) -> list[PastVersion]:
    """Every version that the table's log has, the oldest first.

    Raises:
        DatasetError: there is no dataset, or its store cannot be reached.
    """
    root = absolute_root(root)
    table = newest_table(root)
    if table is None:
        raise DatasetError(f"there is no dataset at {root}; run `headrace prepare` first")
    with reaching(root):
        history = table.history()
    commits = sorted(history, key=lambda c: int(c["version"]))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda commit: _past(root, commit), commits))


def _past(root: str, commit: Mapping[str, Any]) -> PastVersion:
    build_id = commit.get(BUILD_KEY)
    summary, trouble = None, None
    if build_id:
        try:
            build = read_build(root, str(build_id))
            summary = Summary(
                recipe=str(build.recipe.get("name", "")),
                headrace_version=build.headrace_version,
                git_commit=build.git_commit,
                rows=build.ledger.published,
                partial=build.partial,
            )
        except RemovedError:
            pass
        except UnreachableError:
            raise
        except DatasetError as error:
            trouble = str(error)
    return PastVersion(
        version=int(commit["version"]),
        committed=datetime.fromtimestamp(int(commit["timestamp"]) / 1000, UTC),
        build_id=str(build_id) if build_id else None,
        summary=summary,
        trouble=trouble,
    )
