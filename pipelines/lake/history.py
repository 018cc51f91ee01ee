"""All versions of a dataset: when, by which build, and whether they can still be read."""

from dataclasses import dataclass
from datetime import UTC, datetime

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from pipelines.errors import DatasetError
from pipelines.lake.build import Build, read_sidecar
from pipelines.lake.version import BUILD_KEY, absolute_root


@dataclass(frozen=True)
class PastVersion:
    """One Delta commit.

    Attributes:
        version: the Delta version.
        committed: when.
        build_id: of the commit; None where another program made it.
        build: what the build recorded; None where it was removed, by vacuum for example.
    """

    version: int
    committed: datetime
    build_id: str | None
    build: Build | None


def versions_of(root: str) -> list[PastVersion]:
    """Every version that the table's log has, the oldest first.

    Raises:
        DatasetError: there is no dataset.
    """
    root = absolute_root(root)
    try:
        history = DeltaTable(root).history()
    except TableNotFoundError:
        raise DatasetError(f"there is no dataset at {root}; run `headrace prepare` first") from None
    found = []
    for commit in sorted(history, key=lambda c: int(c["version"])):
        build_id = commit.get(BUILD_KEY)
        build = None
        if build_id:
            try:
                build = read_sidecar(root, str(build_id))[0]
            except DatasetError:
                build = None
        found.append(
            PastVersion(
                version=int(commit["version"]),
                committed=datetime.fromtimestamp(int(commit["timestamp"]) / 1000, UTC),
                build_id=str(build_id) if build_id else None,
                build=build,
            )
        )
    return found
