"""Plan a build: which source partitions it processes, and whether it fits the transform.

The plan compares the lake as it is listed now with what the newest version recorded.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headrace.errors import LakeError
from headrace.lake.build import ErasedKey
from headrace.lake.file_columns import FileColumns
from headrace.lake.snapshot import Snapshot
from headrace.lake.source_partition import CrossPartitionDuplicate, SourceFile
from headrace.lake.version import DatasetVersion
from headrace.prepare.recipe_changes import find_changed_keys, has_partition_condition
from headrace.recipe import Recipe
from headrace.source.list_table import list_lookups, list_table, refuse_empty_files
from headrace.source.listing import Listing, choose_partitioning, group_by_partition
from headrace.source.unchanged_partitions import (
    find_unchanged_partitions,
    has_same_rows,
    select_other_partitions,
)

_WHOLE = ""


@dataclass(frozen=True)
class Plan:
    """The plan of a build.

    Attributes:
        base: the newest version, compared with the lake.
        main: name of the main table.
        partitioning: how the main table is divided, as `increments.by`.
        listing: the main table's files; None where only Spark knows them.
        partitions: every source partition of the lake, and the files that hold its rows now.
        fresh: source partitions of the lake as if none was there before. The two differ where a
            table with a log wrote rows that were read into other files.
        pruned_folders: folders that the main table's condition on partitions leaves out; they are
            in neither `listing` nor `partitions`.
        pruned: whether `partitions` are those that the condition selects, or there is none.
        lookups: joined table -> its files, as far as they are known.
        changed_lookups: joined tables that changed, or may have; unless everything is processed, it
            is not decided yet which partitions they concern (`prepare/lookups.py`).
        erased: persons whose rows are left out.
        processed: source partitions whose rows are read.
        removed: source partitions of the base that are gone.
        refit: whether the transform is fitted again, so that all partitions are processed.
        why: the reason, for people.
        invalid_texts: columns with texts that are no UTF-8, whose rows are quarantined.
    """

    base: DatasetVersion | None
    main: str
    partitioning: str | list[str]
    listing: Listing | None
    partitions: Mapping[str, tuple[SourceFile, ...]]
    fresh: Mapping[str, tuple[SourceFile, ...]]
    pruned_folders: frozenset[str]
    pruned: bool
    lookups: Mapping[str, Listing]
    processed: frozenset[str]
    removed: frozenset[str]
    refit: bool
    why: str
    invalid_texts: frozenset[str] = frozenset()
    changed_lookups: tuple[str, ...] = ()
    erased: tuple[ErasedKey, ...] = ()

    @property
    def is_up_to_date(self) -> bool:
        """Return whether the newest version is what this build would make."""
        changes = (self.processed, self.removed, self.changed_lookups)
        return not any(changes) and not self.has_rewritten_files

    @property
    def has_rewritten_files(self) -> bool:
        """Return whether rows that stay are in other files than the newest version says."""
        then = {p.name: p.files for p in self.base.build.partitions} if self.base else {}
        return any(
            {f.identity for f in files} != {f.identity for f in then.get(name, ())}
            for name, files in self.partitions.items()
            if name not in self.processed
        )

    @property
    def retained(self) -> frozenset[str]:
        """Return the source partitions whose rows stay as an earlier build wrote them."""
        return frozenset(self.partitions) - self.processed

    @property
    def reused_version(self) -> DatasetVersion | None:
        """Return the version whose transform is used; None where it is fitted."""
        return None if self.refit else self.base

    def count_bytes(self, joined: Collection[str]) -> int | None:
        """Count the bytes of the files that are read; None where Spark alone knows all files.

        Args:
            joined: the recipe's joined tables.
        """
        if self.listing is None or not self.lookups.keys() >= set(joined):
            return None
        # Rows of several source partitions may be in one file.
        sizes = {f.path: f.bytes for name in self.processed for f in self.partitions[name]}
        of_lookups = (file.bytes for files in self.list_lookup_files().values() for file in files)
        return sum(sizes.values()) + sum(of_lookups)

    def list_paths(self) -> list[str] | None:
        """Return the files to read, as the listing names them; None where it is the whole table."""
        if self.listing is None:
            return None
        if self.processed == frozenset(self.fresh) and not self.pruned_folders:
            return None
        return sorted(f.path for name in self.processed for f in self.partitions[name])

    def list_lookup_files(self) -> dict[str, tuple[SourceFile, ...]]:
        """Return the files of each joined table whose files are known, in order."""
        return {
            table: tuple(listing.files[path] for path in sorted(listing.files))
            for table, listing in self.lookups.items()
        }

    def list_file_columns(self) -> dict[str, FileColumns]:
        """Return the columns of all listed files, by the digest that the files name."""
        listings = [self.listing] if self.listing else []
        found: dict[str, FileColumns] = {}
        for listing in [*listings, *self.lookups.values()]:
            used = {file.columns for file in listing.files.values()}
            found |= {digest: c for digest, c in listing.schemas.items() if digest in used}
        return found

    def list_snapshots(self) -> dict[str, Snapshot]:
        """Return the snapshot of each table that has a log."""
        listings = {**self.lookups, **({self.main: self.listing} if self.listing else {})}
        return {name: found.log.snapshot for name, found in listings.items() if found.log}

    def with_partitions(self, names: Iterable[str], why: str | None = None) -> "Plan":
        """Return the plan with further partitions processed: those, all whose rows are in the same
        files, and those with rows that lost against one of them."""
        plan, wanted = replace(self, why=self.why if why is None else why), frozenset(names)
        while not wanted <= plan.processed | plan.removed:
            plan = plan._with_files_of(wanted)
            if self.base is not None:
                replaced = plan.processed | plan.removed
                returning = find_returning_partitions(self.base.build.crossings, replaced)
                wanted = returning & frozenset(plan.partitions)
        return plan

    def _with_files_of(self, names: frozenset[str]) -> "Plan":
        """Return the plan with partitions processed, and all that have rows in the same files."""
        moved = {n for n in names - self.processed if self.partitions[n] != self.fresh.get(n)}
        paths = {file.path for name in moved for file in self.partitions[name]}

        def is_touched(files: tuple[SourceFile, ...]) -> bool:
            return not paths.isdisjoint(file.path for file in files)

        together = {n for n, files in self.partitions.items() if is_touched(files)}
        again = {name: files for name, files in self.fresh.items() if is_touched(files)}
        kept = {n: files for n, files in self.partitions.items() if n not in together}
        return replace(
            self,
            partitions=kept | again,
            processed=self.processed | frozenset(names - moved) | frozenset(again),
            removed=self.removed | frozenset(together - {*again}),
        )

    def with_everything(self, why: str) -> "Plan":
        """Return the plan with everything processed."""
        return replace(
            self,
            partitions=self.fresh,
            processed=frozenset(self.fresh),
            removed=(self.removed | frozenset(self.partitions)) - frozenset(self.fresh),
            why=why,
        )

    def with_refit(self, why: str) -> "Plan":
        """Return the plan with everything processed and the transform fitted."""
        return replace(self.with_everything(why), refit=True)


def make_plan(
    recipe: Recipe,
    base: DatasetVersion | None,
    *,
    full: bool = False,
    refit: bool = False,
    find_pruned: Callable[[Listing], frozenset[str]] | None = None,
) -> Plan:
    """Compare the lake with the newest version.

    Args:
        recipe: source and increments are read.
        base: the newest version, or None before the first.
        full: process everything, with the transform as it is.
        refit: process everything and fit the transform.
        find_pruned: finds the folders of the main table that its condition on partitions leaves
            out; without it the condition selects rows alone, and a change of it fits again.

    Raises:
        LakeError: `increments.by` names columns that no folder has; nothing is selected; or a file
            is empty.
    """
    old = {p.name: p for p in base.build.partitions} if base else {}
    old_files = {f.path: f for p in old.values() for f in p.files}
    source = recipe.source
    table = source.tables[source.main]
    known, snapshots = (base.build.file_columns, base.build.snapshots) if base else ({}, {})
    since = snapshots.get(source.main)
    listing = list_table(table, old_files, source.main, schemas=known, since=since)
    partitioning = choose_partitioning(recipe, listing)
    can_prune = listing is not None and bool(listing.root) and find_pruned is not None
    pruned = listing is not None and (can_prune or not table.partitions)
    pruned_folders: frozenset[str] = frozenset()
    if listing is not None and listing.root and find_pruned is not None:
        pruned_folders = find_pruned(listing)
        listing = listing.without_folders(pruned_folders)
        _refuse_empty_selection(recipe, listing)
    refuse_empty_files(table, listing)
    fresh = group_by_partition(listing, partitioning) if listing else {_WHOLE: ()}
    _refuse_missing_folders(partitioning, fresh)
    unchanged: dict[str, tuple[SourceFile, ...]] = {}
    if listing is not None:
        before = {name: partition.files for name, partition in old.items()}
        unchanged = find_unchanged_partitions(listing, fresh, before, partitioning)
    partitions = {**unchanged, **select_other_partitions(fresh, unchanged)}
    plan = Plan(
        base=base,
        main=source.main,
        partitioning=partitioning,
        listing=listing,
        partitions=dict(sorted(partitions.items())),
        fresh=fresh,
        pruned_folders=pruned_folders,
        pruned=pruned,
        lookups=list_lookups(recipe, base.build.lookups if base else None, known, snapshots),
        processed=frozenset(),
        removed=frozenset(old) - frozenset(partitions),
        refit=False,
        why="",
        erased=base.build.erased if base else (),
    )
    if base is None:
        return plan.with_refit("the first build")
    changed = find_changed_keys(base.build.recipe, recipe)
    if pruned and (base.build.pruned or not has_partition_condition(base.build.recipe)):
        # What the condition selects is compared partition by partition.
        changed = [key for key in changed if key != f"source.tables.{source.main}.partitions"]
    if changed:
        return plan.with_refit(f"the recipe changed ({', '.join(changed[:3])})")
    if refit or not base.build.partitions:
        return plan.with_refit("asked to fit again" if refit else "the version is of an older kind")
    processed, why = _find_changes(plan, frozenset(unchanged))
    lookups = _find_changed_lookups(recipe, plan)
    plan = replace(plan, changed_lookups=tuple(lookups))
    if not processed and not plan.removed and not full and not lookups:
        why = "rows were written into other files" if plan.has_rewritten_files else ""
        return replace(plan, why=why or "nothing changed")
    if recipe.increments.refit == "always":
        reasons = [why, *lookups.values(), "asked for everything"]
        why = next(reason for reason in reasons if reason)
        return plan.with_refit(f"increments.refit is always, and {why}")
    if full:
        return plan.with_everything("asked for everything")
    if lookups and (listing is None or partitioning == "table" or not base.build.joins):
        return plan.with_everything(next(iter(lookups.values())))
    if processed == frozenset(plan.partitions):
        return plan.with_everything(why)
    returning = find_returning_partitions(base.build.crossings, plan.removed)
    return plan.with_partitions(processed | (returning & frozenset(partitions)), why)


def find_returning_partitions(
    duplicates: Iterable[CrossPartitionDuplicate], replaced: frozenset[str]
) -> frozenset[str]:
    """Find the partitions with rows that lost against a row of a partition that is replaced."""
    return frozenset(d.loser for d in duplicates if d.winner in replaced)


def _find_changed_lookups(recipe: Recipe, plan: Plan) -> dict[str, str]:
    """Find the joined tables that changed, or may have: table -> what is known of it."""
    assert plan.base is not None
    found = {}
    for join in recipe.source.joins:
        if join.on_change == "keep":
            continue
        if join.table not in plan.lookups:
            found[join.table] = f"files of table {join.table} are not known, so it may have changed"
        elif not has_same_rows(
            plan.lookups[join.table], plan.base.build.lookups.get(join.table, ())
        ):
            found[join.table] = f"table {join.table} changed"
    return found


def _find_changes(plan: Plan, unchanged: frozenset[str]) -> tuple[frozenset[str], str]:
    """Find the partitions that have to be processed for what changed, and say what changed."""
    if plan.listing is None:
        everything = frozenset(plan.partitions)
        return everything, "the main table's files are not known, so it may have changed"
    assert plan.base is not None
    old = {partition.name for partition in plan.base.build.partitions}
    new = [name for name in plan.partitions if name not in old]
    changed = [name for name in plan.partitions if name in old and name not in unchanged]
    counts = {"new": len(new), "changed": len(changed), "removed": len(plan.removed)}
    why = ", ".join(f"{n} {change}" for change, n in counts.items() if n)
    if not why:
        return frozenset(), ""
    names = [*new, *changed, *sorted(plan.removed)]
    more = ", …" if len(names) > 3 else ""
    listed = f" ({', '.join(names[:3])}{more})" if any(names) else ""
    return frozenset([*new, *changed]), f"source partitions: {why}{listed}"


def _refuse_empty_selection(recipe: Recipe, listing: Listing) -> None:
    name = recipe.source.main
    table = recipe.source.tables[name]
    if not listing.files:
        raise LakeError(
            f"table {name!r} at {table.path} is empty: 0 rows where {table.partitions}; "
            f"check source.tables.{name}.partitions"
        )


def _refuse_missing_folders(partitioning: str | list[str], partitions: Mapping[str, Any]) -> None:
    if isinstance(partitioning, list) and set(partitions) == {_WHOLE}:
        raise LakeError(
            f"increments.by is {', '.join(partitioning)}, and no folder of the main table is named "
            f"like {partitioning[0]}=…; name columns that the lake is partitioned by, or use file "
            "or table"
        )
