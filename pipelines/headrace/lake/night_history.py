"""Keep a short history of a dataset beside each version: what the builds before it did.

A build takes over what its base has and adds a line, so that a report shows the last nights without
reading a file of each.
"""

from pydantic import BaseModel, ConfigDict

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.formats import STATISTICS
from headrace.lake.build import Build, read_build
from headrace.lake.damage import explain_damage
from headrace.lake.sidecar import read_sidecar_text
from headrace.lake.version import BUILD_KEY, read_commit

HISTORY_FILE = "history.json"
"""File of the history of a version, in the sidecar of its build."""
_MOST_NIGHTS = 60


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Night(_Frozen):
    """What one build did."""

    version: int
    build_id: str
    created_at: str
    rows: dict[str, int]
    """Split -> rows of the version."""
    read: int
    """Rows that the build read itself."""
    published: int
    """Of these, rows that it published."""
    quarantined: int
    duplicates: int
    drift_measures: int
    drifted: int
    """Measures of drift that were above their limits."""
    what: str = ""
    """What the version is where it is no build of rows: restored, or optimized."""

    @staticmethod
    def from_build(build: Build, version: int) -> "Night":
        """Return the line of a build.

        Args:
            build: that is published.
            version: as which.
        """
        processed = build.processed_ledger if build.is_partial else build.ledger
        again = build.restored is not None or build.optimized is not None
        what = f"version {build.restored} again" if build.restored is not None else ""
        return Night(
            version=version,
            build_id=build.build_id,
            created_at=build.created_at,
            rows=build.ledger.published,
            read=0 if again else processed.read,
            published=0 if again else sum(processed.published.values()),
            quarantined=0 if again else sum(processed.quarantined.values()),
            duplicates=0 if again else processed.duplicates,
            drift_measures=len(build.drift),
            drifted=sum(one.has_drifted for one in build.drift),
            what=build.optimized.describe() if build.optimized else what,
        )


class NightHistory(_Frozen):
    """The last builds of a dataset, the oldest first."""

    format_version: int = STATISTICS.current
    nights: tuple[Night, ...]
    left_out: int = 0
    """Earlier builds that are not listed any more."""

    def add_night(self, night: Night) -> "NightHistory":
        """Return the history with one more build, and of so many only the last."""
        nights = (*self.nights, night)
        over = max(0, len(nights) - _MOST_NIGHTS)
        return NightHistory(nights=nights[over:], left_out=self.left_out + over)


def continue_history(root: str, version: int | None) -> NightHistory:
    """Return the history of a version; of one that an older Headrace published, its line alone.

    Args:
        root: the dataset's folder or URL.
        version: its number; None where there is none.

    Raises:
        UnreachableError: the store does not answer.
    """
    nothing = NightHistory(nights=())
    commit = read_commit(root, version) if version is not None else None
    build_id = (commit or {}).get(BUILD_KEY)
    if version is None or not build_id:
        return nothing
    try:
        text = read_sidecar_text(root, str(build_id), HISTORY_FILE)
        where = f"dataset {root}: {HISTORY_FILE} of build {build_id}"
        with explain_damage(where):
            migrated = STATISTICS.migrate_text(text, where, DatasetError)
            return NightHistory.model_validate_json(migrated)
    except RemovedError:
        pass
    except DamagedError:  # what it says is told by the builds' records, too
        return nothing
    try:
        return NightHistory(nights=(Night.from_build(read_build(root, str(build_id)), version),))
    except (RemovedError, DamagedError):
        return nothing
