"""All versions of a dataset: when, by which build, and whether they can still be read."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deltalake.exceptions import TableNotFoundError

from pipelines.errors import DatasetError, RemovedError
from pipelines.lake.build import Build, read_sidecar
from pipelines.lake.storage import absolute_root, delta_table, reaching
from pipelines.lake.version import BUILD_KEY

_AT_ONCE = 16  # requests to the store


@dataclass(frozen=True)
class PastVersion:
    """One Delta commit.

    Attributes:
        version: the Delta version.
        committed: when.
        build_id: of the commit; None where another program made it.
        build: what the build recorded; None where it cannot be read.
        trouble: why it cannot; None where it was removed, by vacuum for example.
    """

    version: int
    committed: datetime
    build_id: str | None
    build: Build | None
    trouble: str | None = None


def versions_of(root: str) -> list[PastVersion]:
    """Every version that the table's log has, the oldest first.

    Raises:
        DatasetError: there is no dataset, or its store cannot be reached.
    """
    root = absolute_root(root)
    try:
        with reaching(root):
            history = delta_table(root).history()
    except TableNotFoundError:
        raise DatasetError(f"there is no dataset at {root}; run `headrace prepare` first") from None
    commits = sorted(history, key=lambda c: int(c["version"]))
    with reaching(root), ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda commit: _past(root, commit), commits))


def _past(root: str, commit: Mapping[str, Any]) -> PastVersion:
    build_id = commit.get(BUILD_KEY)
    build, trouble = None, None
    if build_id:
        try:
            build = read_sidecar(root, str(build_id))[0]
        except RemovedError:
            pass
        except DatasetError as error:
            trouble = str(error)
    return PastVersion(
        version=int(commit["version"]),
        committed=datetime.fromtimestamp(int(commit["timestamp"]) / 1000, UTC),
        build_id=str(build_id) if build_id else None,
        build=build,
        trouble=trouble,
    )
