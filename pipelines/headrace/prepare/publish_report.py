"""Make the data report of a version and the history that it shows, for its sidecar."""

from collections.abc import Mapping
from contextlib import suppress

from headrace.lake.build import Build
from headrace.lake.data_statistics import DataStatistics
from headrace.lake.night_history import HISTORY_FILE, Night, continue_history
from headrace.lake.profile import VERSION_PROFILE_FILE, Profile
from headrace.lake.storage import open_filesystem
from headrace.prepare.report import render_report
from headrace.source.quarantine.writer import locate_quarantine


def make_report(
    root: str,
    name: str,
    build: Build,
    profile: Profile,
    statistics: DataStatistics | None,
    files: Mapping[str, str | bytes],
) -> dict[str, str | bytes]:
    """Make the page, and the history of the dataset with this version.

    Args:
        root: the dataset's folder or URL.
        name: the recipe's.
        build: that is about to be published, after its base.
        profile: of the rows that it wrote.
        statistics: of the version; None where there are none.
        files: of the sidecar; the version's profile is among them where it is known.
    """
    version = 0 if build.base is None else build.base + 1  # or the commit is refused
    history = continue_history(root, build.base)
    history = history.add_night(Night.from_build(build, version))
    whole = files.get(VERSION_PROFILE_FILE)
    report = render_report(
        name, build, profile, statistics,
        version_profile=Profile.model_validate_json(whole) if whole else None,
        history=history,
        quarantine_files=_list_quarantine(root, build),
    )  # fmt: skip
    return {"report.html": report, HISTORY_FILE: history.model_dump_json()}


def _list_quarantine(root: str, build: Build) -> list[str]:
    if not build.quarantine:
        return []
    filesystem, path = open_filesystem(locate_quarantine(root, build.build_id))
    with suppress(FileNotFoundError):
        return sorted(
            str(name).rpartition("/")[2]
            for name in filesystem.ls(path, detail=False)
            if str(name).endswith(".parquet")
        )
    return []
