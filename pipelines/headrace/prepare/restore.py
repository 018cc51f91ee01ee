"""Make the rows of an earlier version those of the newest, and have increments go on from there."""

from datetime import UTC, datetime

from headrace.errors import DatasetError
from headrace.lake.delta import check_file_sizes
from headrace.lake.version import DatasetVersion, find_newest_version
from headrace.prepare.attempt import make_build_id
from headrace.prepare.publish import publish_again


def restore_version(root: str, version: int) -> DatasetVersion:
    """Publish an earlier version of a dataset once more, as its newest.

    No row is read, and no version goes: the ones between stay readable until they are vacuumed. The
    next build compares the lake with the version that came back.

    Args:
        root: the dataset's folder or URL.
        version: whose rows, transform and recipe come back.

    Returns:
        the new version.

    Raises:
        DatasetError: there is no such version, it is the newest, or files of it were removed.
        ConflictError: another build was committed meanwhile.
    """
    origin = DatasetVersion.open(root, version)
    newest = find_newest_version(origin.root)
    label = f"dataset {origin.root}"
    if version == newest:
        raise DatasetError(f"{label}: version {version} is the newest; there is nothing to restore")
    try:
        check_file_sizes(origin.root, {f.path: f.bytes for f in origin.build.files}, label)
    except DatasetError as error:
        what = str(error).partition(". Nothing")[0].removeprefix(f"{label}: ")
        raise DatasetError(
            f"{label}: version {version} cannot come back: {what}. Restore it from a backup, or "
            "choose another version; `headrace inspect` lists them"
        ) from None
    now = datetime.now(UTC)
    build_id = make_build_id(now)
    changes = {"restored": version, "given_id": None}
    published = publish_again(origin, build_id, now, newest, changes)
    return DatasetVersion.open(origin.root, published)
