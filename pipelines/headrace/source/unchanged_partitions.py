"""Find the source partitions of an earlier listing whose rows are the same, in whatever files.

A table with a log may have written rows into other files without changing one, see
`lake/snapshot.py`. Partitions whose rows share files now stay or go together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from headrace.lake.snapshot import FileGroup, trace_files
from headrace.lake.source_partition import SourceFile
from headrace.source.listing import Listing

Partitions = Mapping[str, tuple[SourceFile, ...]]


def find_unchanged_partitions(
    listing: Listing, fresh: Partitions, old: Partitions, by: str | list[str]
) -> dict[str, tuple[SourceFile, ...]]:
    """Find the partitions whose rows are still those of an earlier listing.

    Args:
        listing: of the table now.
        fresh: its source partitions now, and their files.
        old: those of the earlier listing.
        by: how the table is divided.

    Returns:
        partition -> the files that hold its rows now; by file, several partitions may have the
        same files, and a partition's name may be that of a file that is gone.
    """
    before = {file.path: file for files in old.values() for file in files}
    commits = listing.log.commits if listing.log else ()
    unchanged: dict[str, tuple[SourceFile, ...]] = {}
    for names, groups in _connect(old, trace_files(before, listing.files, commits)):
        if not groups or not all(_has_same_rows(group, before, listing) for group in groups):
            continue
        now = {path for group in groups for path in group.now}
        files = tuple(listing.files[path] for path in sorted(now))
        if by != "file" and any(files != fresh.get(name) for name in names):
            continue
        unchanged |= dict.fromkeys(names, files)
    return unchanged


def select_other_partitions(
    fresh: Partitions, unchanged: Partitions
) -> dict[str, tuple[SourceFile, ...]]:
    """Select the partitions that have a file without unchanged rows, or no known file."""
    held = {file.path for files in unchanged.values() for file in files}
    return {
        name: files
        for name, files in fresh.items()
        if not files or any(file.path not in held for file in files)
    }


def has_same_rows(listing: Listing, before: Iterable[SourceFile]) -> bool:
    """Return whether a table has the rows of an earlier listing, in whatever files."""
    files = {"": tuple(sorted(listing.files.values(), key=lambda file: file.path))}
    return bool(find_unchanged_partitions(listing, files, {"": tuple(before)}, "table"))


def _has_same_rows(group: FileGroup, before: Mapping[str, SourceFile], listing: Listing) -> bool:
    """Return whether no row of a group is new, changed or gone, as far as can be seen."""
    if group.is_changed:
        return False
    if not group.is_rewritten:
        return all(before[path].identity == listing.files[path].identity for path in group.now)
    then = [before[path].rows for path in group.before]
    now = [listing.files[path].rows for path in group.now]
    if None in then or None in now:
        return False
    return sum(rows or 0 for rows in then) == sum(rows or 0 for rows in now)


def _connect(old: Partitions, groups: list[FileGroup]) -> list[tuple[list[str], list[FileGroup]]]:
    """Bring together the partitions that have rows in files of the same group."""
    group_of = {path: group for group in groups for path in group.before}
    names_of: dict[int, list[str]] = defaultdict(list)
    for name, files in old.items():
        for file in files:
            names_of[id(group_of[file.path])].append(name)
    found, seen = [], set()
    for first in old:
        if first in seen:
            continue
        names, connected, waiting = {first}, {}, [first]
        while waiting:
            for file in old[waiting.pop()]:
                group = group_of[file.path]
                if id(group) in connected:
                    continue
                connected[id(group)] = group
                new = {*names_of[id(group)]} - names
                names |= new
                waiting += new
        seen |= names
        found.append((sorted(names), list(connected.values())))
    return found
