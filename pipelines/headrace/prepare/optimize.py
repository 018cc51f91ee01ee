"""Merge small files of a dataset's newest version into larger ones, and publish its rows again.

A source partition has files of its own when a build writes it, so that the next build can replace
it. Where partitions are small and many, so are the files, and each is opened in every epoch. Here
neighbours in the canonical order are merged, as long as their partitions are cold: no build has
processed them lately, so that few will be replaced soon. Rows keep their order; ledger, source
partitions, transform, tallies and hashes of keys stay as they are. How rows are written is left to
`write/rewrite.py`.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from headrace.errors import DatasetError
from headrace.lake.build import OptimizedFrom
from headrace.lake.commit import discard_build
from headrace.lake.data_file import SPLITS, DataFile
from headrace.lake.storage import resolve_root
from headrace.lake.vacuum import holds_predictions
from headrace.lake.version import DatasetVersion
from headrace.prepare.attempt import make_build_id
from headrace.prepare.publish import publish_again
from headrace.prepare.write.rewrite import FileLayout, rewrite_file
from headrace.progress import Progress, Report

_BUILD_TIME = re.compile(r"(\d{8}T\d{6})-[0-9a-f]{8}")


@dataclass(frozen=True)
class Optimized:
    """What was merged, or would be in a dry run.

    Attributes:
        dataset: the version that was published, or the one before where none was.
        published: whether one was.
        files, files_now: data files before and after.
        merged: files whose rows are, or would be, in other files.
        rows: their rows.
        hot: source partitions whose files were left alone.
    """

    dataset: DatasetVersion
    published: bool
    files: int
    files_now: int
    merged: int
    rows: int
    hot: int


def optimize_dataset(
    root: str, *, older_than: timedelta, now: datetime, dry_run: bool, report: Report
) -> Optimized:
    """Merge the small files of cold source partitions, and publish that as the newest version.

    Args:
        root: the dataset's folder or URL.
        older_than: a partition is cold when the build that processed it last began so long ago.
        now: current time, UTC.
        dry_run: write nothing.
        report: told of progress.

    Raises:
        DatasetError: there is no dataset, or predictions, or a dataset of a very old Headrace.
        DamagedError, RemovedError: a file is not as it was published; nothing was.
        ConflictError: another build was committed meanwhile; nothing of this one is visible.
    """
    root = resolve_root(root)
    if holds_predictions(root):
        raise DatasetError(
            f"{root} has predictions, and only the files of a dataset can be merged. Predictions "
            "have files as large as their source partitions; score fewer, larger partitions"
        )
    dataset = DatasetVersion.open(root)
    if not dataset.build.partitions:
        raise DatasetError(
            f"dataset {root}: version {dataset.version} is of an older Headrace and does not say "
            "which source partitions its rows are from; run `headrace prepare --refit` first"
        )
    layout = FileLayout.from_version(dataset)
    hot = find_hot_partitions(dataset, now - older_than)
    groups = [
        group
        for split in SPLITS
        for group in choose_groups(dataset.list_files(split), hot, layout.rows_per_file)
    ]
    merged = sum(map(len, groups))
    files = len(dataset.build.files)
    result = Optimized(
        dataset=dataset,
        published=False,
        files=files,
        files_now=files - merged + len(groups),
        merged=merged,
        rows=sum(file.rows for group in groups for file in group),
        hot=len(hot),
    )
    if dry_run or not groups:
        return result
    version = _publish_merged(dataset, groups, layout, now, report)
    return replace(result, dataset=version, published=True)


def find_hot_partitions(dataset: DatasetVersion, since: datetime) -> frozenset[str]:
    """Find the source partitions that a build processed which began since then."""
    return frozenset(
        partition.name
        for partition in dataset.build.partitions
        if _parse_build_time(partition.build_id) > since
    )


def _parse_build_time(build_id: str) -> datetime:
    """Return when a build began; of an id that does not say it, long ago."""
    match = _BUILD_TIME.fullmatch(build_id)
    if match is None:
        return datetime.min.replace(tzinfo=UTC)
    return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def choose_groups(
    files: Sequence[DataFile], hot: frozenset[str], rows_per_file: int
) -> list[list[DataFile]]:
    """Choose which files of a split are merged.

    A file with half of the rows that a file should have is large enough: it would be written again
    for every few rows after it. The others go together with their neighbours as long as they have
    not more rows than that. The rule goes by rows and not by bytes, so it finds nothing to do in
    what it made.

    Args:
        files: in the canonical order.
        hot: source partitions whose files stay as they are.
        rows_per_file: of a merged file, at most.

    Returns:
        groups of at least two neighbours, in order.
    """
    groups: list[list[DataFile]] = []
    open_group: list[DataFile] = []
    rows = 0
    for file in files:
        is_left = 2 * file.rows >= rows_per_file or file.count_rows(hot) > 0
        if is_left or rows + file.rows > rows_per_file:
            groups.append(open_group)
            open_group, rows = [], 0
        if not is_left:
            open_group.append(file)
            rows += file.rows
    groups.append(open_group)
    return [group for group in groups if len(group) > 1]


def _publish_merged(
    dataset: DatasetVersion,
    groups: Sequence[Sequence[DataFile]],
    layout: FileLayout,
    now: datetime,
    report: Report,
) -> DatasetVersion:
    """Write the merged files and commit them; where that fails, remove them."""
    build_id = make_build_id(now)
    old = dataset.build
    try:
        written: list[DataFile] = []
        for group in groups:
            report(Progress("merging files", len(written), len(groups)))
            written.append(rewrite_file(layout, build_id, group))
        replaced = {file.path for group in groups for file in group}
        stay = [file for file in old.files if file.path not in replaced]
        files = tuple(sorted([*stay, *written], key=lambda file: file.path))
        _refuse_other_order(dataset, files)
        report(Progress("committing"))
        changes = {
            "files": files,
            "given_id": None,
            "optimized": OptimizedFrom(
                version=dataset.version, files=len(old.files), files_now=len(files)
            ),
        }
        version = publish_again(dataset, build_id, now, dataset.version, changes)
    except BaseException:
        with suppress(DatasetError):  # a store that is gone; vacuum finds what is left
            discard_build(dataset.root, build_id)
        raise
    return DatasetVersion.open(dataset.root, version)


def _refuse_other_order(dataset: DatasetVersion, files: Sequence[DataFile]) -> None:
    """Refuse files that do not have the rows of a version in its order, by what they say."""
    for split in SPLITS:
        before = [run for file in dataset.list_files(split) for run in file.list_runs()]
        after = [run for file in files if file.split == split for run in file.list_runs()]
        if before != after:
            raise DatasetError(
                f"dataset {dataset.root}: merged files have the rows of {split} in another order "
                "than before. Nothing was published; report it"
            )
