"""Compute the profile of all rows of a version from that of its base: by what came and what went.

So a build reads the tallies of the builds whose files go, and not of all builds that wrote some.
"""

from headrace.errors import DamagedError, RemovedError
from headrace.lake.build import Build
from headrace.lake.damage import explain_damage
from headrace.lake.profile import (
    TALLIES_FILE,
    VERSION_PROFILE_FILE,
    FileTally,
    RuleCount,
)
from headrace.lake.sidecar import read_sidecar_bytes
from headrace.lake.version import DatasetVersion


def build_version_profile(
    base: DatasetVersion, build: Build, tallies: bytes, rules: tuple[RuleCount, ...]
) -> dict[str, str]:
    """Return the file that has the profile of a version's rows.

    Args:
        base: version whose files the build takes over, or some of them.
        build: of the version.
        tallies: of the files that it wrote itself.
        rules: of the rows that it read.

    Returns:
        its name and content; nothing where the version has rows of this build alone, or tallies
        that it takes are not there any more, or damaged.
    """
    if not build.is_partial:
        return {}
    split_by_path = build.map_runs_to_splits()
    stay = set(split_by_path)
    own = [tally for tally in FileTally.read_tallies(tallies) if tally.path in split_by_path]
    reference = base.fitted_profile
    try:
        before, gone = base.profile, _read_tallies_of_others(base, stay)
    except (RemovedError, DamagedError):  # whoever asks for the profile is told
        return {}
    profile = before.add_counts(
        reference.sum_tallies([(split_by_path[tally.path], tally) for tally in own], ())
    )
    if gone:
        profile = profile.add_counts(reference.sum_tallies(gone, ()), -1)
    profile = profile.model_copy(update={"rules": rules})
    return {VERSION_PROFILE_FILE: profile.model_dump_json()}


def _read_tallies_of_others(base: DatasetVersion, stay: set[str]) -> list[tuple[str, FileTally]]:
    """Read split and tally of each run of rows of the base but some."""
    gone_runs = [
        (file.split, run)
        for file in base.build.files
        for run in file.list_runs()
        if run.path not in stay
    ]
    split_by_path = {run.path: split for split, run in gone_runs}
    partitions = {run.partition for _, run in gone_runs}
    builds = {p.build_id for p in base.build.partitions if p.name in partitions}
    gone: list[tuple[str, FileTally]] = []
    for build_id in sorted(builds):
        blob = read_sidecar_bytes(base.root, build_id, TALLIES_FILE)
        with explain_damage(f"dataset {base.root}: {TALLIES_FILE} of build {build_id}"):
            gone += [
                (split_by_path[tally.path], tally)
                for tally in FileTally.read_tallies(blob)
                if tally.path in split_by_path
            ]
    return gone
