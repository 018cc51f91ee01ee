"""Plan a build: which source partitions it processes, and whether it fits the transform.

The plan compares the lake as it is listed now with what the newest version recorded.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from headrace.errors import LakeError
from headrace.lake.file_columns import FileColumns
from headrace.lake.source_partition import CrossPartitionDuplicate, SourceFile
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.redaction import redact_recipe
from headrace.source.list_table import list_lookups, list_table, refuse_empty_files
from headrace.source.listing import Listing, choose_partitioning, group_by_partition, has_same_files

ROWS_DEPEND_ON = ("source", "clean", "label", "split", "unavailable", "derive", "features")
"""Sections of a recipe that rows and their columns depend on."""
_WHOLE = ""


@dataclass(frozen=True)
class Plan:
    """The plan of a build.

    Attributes:
        base: the newest version, compared with the lake.
        partitioning: how the main table is divided, as `increments.by`.
        listing: the main table's files; None where only Spark knows them.
        partitions: every source partition of the lake as it is now, and its files.
        pruned_folders: folders that the main table's condition on partitions leaves out; they are
            in neither `listing` nor `partitions`.
        pruned: whether `partitions` are those that the condition selects, or there is none.
        lookups: joined table -> its files, as far as they are known.
        processed: source partitions whose rows are read.
        removed: source partitions of the base that are gone.
        refit: whether the transform is fitted again, so that all partitions are processed.
        why: the reason, for people.
        invalid_texts: columns with texts that are no UTF-8, whose rows are quarantined.
    """

    base: DatasetVersion | None
    partitioning: str | list[str]
    listing: Listing | None
    partitions: Mapping[str, tuple[SourceFile, ...]]
    pruned_folders: frozenset[str]
    pruned: bool
    lookups: Mapping[str, Listing]
    processed: frozenset[str]
    removed: frozenset[str]
    refit: bool
    why: str
    invalid_texts: frozenset[str] = frozenset()

    @property
    def is_up_to_date(self) -> bool:
        """Return whether the newest version is what this build would make."""
        return self.base is not None and not self.processed and not self.removed

    @property
    def retained(self) -> frozenset[str]:
        """Return the source partitions whose rows stay as an earlier build wrote them."""
        return frozenset(self.partitions) - self.processed

    @property
    def reused_version(self) -> DatasetVersion | None:
        """Return the version whose transform is used; None where it is fitted."""
        return None if self.refit else self.base

    def list_paths(self) -> list[str] | None:
        """Return the files to read, as the listing names them; None where it is the whole table."""
        if self.listing is None:
            return None
        if self.processed == frozenset(self.partitions) and not self.pruned_folders:
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

    def with_partitions(self, names: Iterable[str]) -> "Plan":
        """Return the plan with further partitions processed."""
        return replace(self, processed=self.processed | frozenset(names))

    def with_refit(self, why: str) -> "Plan":
        """Return the plan with everything processed and the transform fitted."""
        return replace(self, processed=frozenset(self.partitions), refit=True, why=why)


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
    partitioning = choose_partitioning(recipe)
    table = source.tables[source.main]
    known = base.build.file_columns if base else {}
    listing = list_table(table, old_files, source.main, schemas=known)
    pruned = listing is not None and (find_pruned is not None or not table.partitions)
    pruned_folders: frozenset[str] = frozenset()
    if listing is not None and find_pruned is not None:
        pruned_folders = find_pruned(listing)
        listing = listing.without_folders(pruned_folders)
        _refuse_empty_selection(recipe, listing)
    refuse_empty_files(table, listing)
    partitions = group_by_partition(listing, partitioning) if listing else {_WHOLE: ()}
    _refuse_missing_folders(partitioning, partitions)
    plan = Plan(
        base=base,
        partitioning=partitioning,
        listing=listing,
        partitions=partitions,
        pruned_folders=pruned_folders,
        pruned=pruned,
        lookups=list_lookups(recipe, base.build.lookups if base else None, known),
        processed=frozenset(),
        removed=frozenset(old) - frozenset(partitions),
        refit=False,
        why="",
    )
    if base is None:
        return plan.with_refit("the first build")
    changed = find_changed_keys(base.build.recipe, recipe)
    if pruned and (
        base.build.pruned or not _get_partition_condition(base.build.recipe, source.main)
    ):
        # What the condition selects is compared partition by partition.
        changed = [key for key in changed if key != f"source.tables.{source.main}.partitions"]
    if changed:
        return plan.with_refit(f"the recipe changed ({', '.join(changed[:3])})")
    if refit or not base.build.partitions:
        return plan.with_refit("asked to fit again" if refit else "the version is of an older kind")
    processed, why = _find_changes(recipe, plan)
    if not processed and not plan.removed and not full:
        return replace(plan, why="nothing changed")
    if recipe.increments.refit == "always":
        return plan.with_refit(f"increments.refit is always, and {why or 'asked for everything'}")
    if full:
        processed, why = frozenset(partitions), "asked for everything"
    replaced = (processed | plan.removed) if not full else frozenset(old)
    processed |= find_returning_partitions(base.build.crossings, replaced) & frozenset(partitions)
    return replace(plan, processed=processed, why=why)


def find_returning_partitions(
    duplicates: Iterable[CrossPartitionDuplicate], replaced: frozenset[str]
) -> frozenset[str]:
    """Find the partitions with rows that lost against a row of a partition that is replaced."""
    return frozenset(d.loser for d in duplicates if d.winner in replaced)


def find_changed_keys(before: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Find the keys of sections that rows depend on, whose values differ."""
    now = redact_recipe(recipe.dump_resolved())
    try:  # with the defaults of keys that are newer than the version
        then = redact_recipe(Recipe.model_validate(before).dump_resolved())
    except ValidationError:
        return ["as a whole"]
    changed = [
        path
        for section in ROWS_DEPEND_ON
        for path in _find_differences(section, then[section], now[section])
    ]
    return changed + _find_differences(
        "dataset.keep", then["dataset"]["keep"], now["dataset"]["keep"]
    )


def find_changed_partitions(plan: Plan) -> tuple[list[str], list[str]]:
    """Find the partitions that are new, and those that have other files than before."""
    assert plan.base is not None
    old = {p.name: p.files for p in plan.base.build.partitions}
    new = [name for name in plan.partitions if name not in old]
    changed = [
        name
        for name, files in plan.partitions.items()
        if name in old and not has_same_files(files, old[name])
    ]
    return new, changed


def _find_changes(recipe: Recipe, plan: Plan) -> tuple[frozenset[str], str]:
    """Find the partitions that have to be processed for what changed, and say what changed."""
    everything = frozenset(plan.partitions)
    if plan.listing is None:
        return everything, "the main table's files are not known, so it may have changed"
    assert plan.base is not None
    for join in recipe.source.joins:
        if join.on_change == "keep":
            continue
        if join.table not in plan.lookups:
            return everything, f"files of table {join.table} are not known, so it may have changed"
        if not has_same_files(
            plan.lookups[join.table].files.values(), plan.base.build.lookups.get(join.table, ())
        ):
            return everything, f"table {join.table} changed"
    new, changed = find_changed_partitions(plan)
    counts = {"new": len(new), "changed": len(changed), "removed": len(plan.removed)}
    why = ", ".join(f"{n} {change}" for change, n in counts.items() if n)
    names = [*new, *changed, *sorted(plan.removed)]
    more = ", …" if len(names) > 3 else ""
    listed = f" ({', '.join(names[:3])}{more})" if any(names) else ""
    return frozenset([*new, *changed]), f"source partitions: {why}{listed}"


def _get_partition_condition(recipe: Mapping[str, Any], main: str) -> str | None:
    """Return `source.tables.<main>.partitions` of a recipe that a version keeps."""
    condition = recipe.get("source", {}).get("tables", {}).get(main, {}).get("partitions")
    return str(condition) if condition else None


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


def _find_differences(path: str, before: Any, now: Any) -> list[str]:
    """Return the paths of values that differ, the deepest ones."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*now, *(k for k in before if k not in now)]
        return [
            difference
            for key in keys
            for difference in _find_differences(f"{path}.{key}", before.get(key), now.get(key))
        ]
    return [path]
