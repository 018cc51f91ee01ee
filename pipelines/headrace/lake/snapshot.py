"""Trace which files of a table hold the rows of earlier ones, by the commits between two snapshots.

A table with a log (Delta, Iceberg) rewrites its files without changing a row: OPTIMIZE, Z-order,
`rewrite_data_files`. Who read the files before has read the rows of those after.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict


class Snapshot(BaseModel):
    """The state of a table with a log that a build read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table_id: str
    """The table's own id: another table at the same place has another."""
    version: int
    """Delta's version; the id of Iceberg's snapshot; the last committed batch of a sink."""


@dataclass(frozen=True)
class Rewrite:
    """Files whose rows one commit wrote into other files.

    Attributes:
        removed: names of the files before.
        added: names of the files after.
    """

    removed: frozenset[str]
    added: frozenset[str]


@dataclass(frozen=True)
class TableCommit:
    """What one commit did to a table's files.

    Attributes:
        added, removed: names of files whose rows are new, or gone.
        rewrites: rows that are in other files now.
    """

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    rewrites: tuple[Rewrite, ...] = ()


@dataclass(frozen=True)
class FileGroup:
    """Files before and files now that hold the same rows, unless some changed.

    Attributes:
        before: names of files of the earlier snapshot.
        now: names of files of the later one.
        is_changed: whether rows of the group are new, or gone.
        is_rewritten: whether the rows are in other files than before.
    """

    before: frozenset[str]
    now: frozenset[str]
    is_changed: bool
    is_rewritten: bool = False


@dataclass
class _Group:
    before: set[str] = field(default_factory=set)
    now: set[str] = field(default_factory=set)
    is_changed: bool = False
    is_rewritten: bool = False


def trace_files(
    before: Iterable[str], now: Iterable[str], commits: Sequence[TableCommit]
) -> list[FileGroup]:
    """Group the files of two snapshots by the rows that they share.

    Args:
        before: names of the files of the earlier snapshot that were read.
        now: names of the files of the later one.
        commits: between the two, in order; without any, files are the same by their names.

    Returns:
        groups; every file before and every file now is in one of them.
    """
    live: dict[str, _Group] = {name: _Group({name}, {name}) for name in before}
    groups: dict[int, _Group] = {id(group): group for group in live.values()}

    def add_group(group: _Group) -> _Group:
        groups[id(group)] = group
        return group

    def remove_file(name: str) -> None:
        if (group := live.pop(name, None)) is not None:
            group.now.discard(name)
            group.is_changed = True

    for commit in commits:
        for rewrite in commit.rewrites:
            merged = add_group(_Group(is_rewritten=True))
            for name in rewrite.removed:
                part = live.pop(name, None) or _Group(is_changed=True)  # rows nobody read
                part.now.discard(name)
                if part is merged:
                    continue
                groups.pop(id(part), None)
                merged.before |= part.before
                merged.now |= part.now
                merged.is_changed |= part.is_changed
                live |= dict.fromkeys(part.now, merged)
            merged.now |= rewrite.added
            live |= dict.fromkeys(rewrite.added, merged)
        for name in commit.removed:
            remove_file(name)
        for name in commit.added:
            remove_file(name)
            live[name] = add_group(_Group(now={name}, is_changed=True))
    present = {*now}
    for name in [*live]:
        if name not in present:
            remove_file(name)
    for name in present - {*live}:
        add_group(_Group(now={name}, is_changed=True))
    return [
        FileGroup(frozenset(g.before), frozenset(g.now), g.is_changed, g.is_rewritten)
        for g in groups.values()
        if g.before or g.now
    ]
