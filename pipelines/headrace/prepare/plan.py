"""What a build has to do: which source partitions it processes, and whether it fits the transform.

A pure comparison of the lake as it is listed now with what the newest version recorded.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from headrace.errors import LakeError
from headrace.lake.source_partition import Crossing, SourceFile
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.redaction import redact_recipe
from headrace.source.listing import (
    Listing,
    by_partition,
    how_partitioned,
    list_table,
    refuse_empty_files,
    same_files,
)

# Sections of a recipe that decide about rows and their columns.
ROWS_DEPEND_ON = ("source", "clean", "label", "split", "unavailable", "derive", "features")
_WHOLE = ""


@dataclass(frozen=True)
class Plan:
    """What a build does.

    Attributes:
        base: the newest version, compared with the lake.
        by: how the main table is divided, as `increments.by`.
        listing: the main table's files; None where only Spark knows them.
        partitions: every source partition there is now, and its files.
        left_out: folders of the main table that the condition in `partitions` leaves out; they are
            in neither `listing` nor `partitions`.
        pruned: whether `partitions` has only those that the condition selects, or there is none.
        lookups: joined table -> its files, as far as they are known.
        process: source partitions whose rows are read.
        removed: source partitions of the base that are gone.
        refit: the transform is fitted anew, so all partitions are processed.
        why: for people.
    """

    base: DatasetVersion | None
    by: str | list[str]
    listing: Listing | None
    partitions: Mapping[str, tuple[SourceFile, ...]]
    left_out: frozenset[str]
    pruned: bool
    lookups: Mapping[str, tuple[SourceFile, ...]]
    process: frozenset[str]
    removed: frozenset[str]
    refit: bool
    why: str

    @property
    def nothing(self) -> bool:
        """Whether the newest version is what this build would make."""
        return self.base is not None and not self.process and not self.removed

    @property
    def kept(self) -> frozenset[str]:
        """Source partitions whose rows stay as an earlier build wrote them."""
        return frozenset(self.partitions) - self.process

    @property
    def frozen(self) -> DatasetVersion | None:
        """The version whose transform is used; None where it is fitted."""
        return None if self.refit else self.base

    def urls(self) -> list[str] | None:
        """Files to read; None where the whole table is."""
        if self.listing is None:
            return None
        if self.process == frozenset(self.partitions) and not self.left_out:
            return None
        paths = [f.path for name in self.process for f in self.partitions[name]]
        return self.listing.urls(paths)

    def with_more(self, names: Iterable[str]) -> "Plan":
        """The same with further partitions processed."""
        return replace(self, process=self.process | frozenset(names))

    def refitted(self, why: str) -> "Plan":
        """The same with everything processed and the transform fitted."""
        return replace(self, process=frozenset(self.partitions), refit=True, why=why)


def make_plan(
    recipe: Recipe,
    base: DatasetVersion | None,
    *,
    full: bool = False,
    refit: bool = False,
    leave_out: Callable[[Listing], frozenset[str]] | None = None,
) -> Plan:
    """Compare the lake with the newest version.

    Args:
        recipe: source and increments are read.
        base: the newest version, or None before the first.
        full: process everything, with the transform as it is.
        refit: process everything and fit the transform.
        leave_out: says which folders of the main table its condition in `partitions` leaves out;
            without it the condition decides about rows alone, and a change of it fits again.

    Raises:
        LakeError: `increments.by` names columns that no folder has; nothing is selected; or a file
            is empty.
    """
    old = {p.name: p for p in base.build.partitions} if base else {}
    known = {f.path: f for p in old.values() for f in p.files}
    source = recipe.source
    by = how_partitioned(recipe)
    table = source.tables[source.main]
    listing = list_table(table, known)
    pruned = listing is not None and (leave_out is not None or not table.partitions)
    left_out: frozenset[str] = frozenset()
    if listing is not None and leave_out is not None:
        left_out = leave_out(listing)
        listing = listing.without(left_out)
        _refuse_nothing(recipe, listing)
    refuse_empty_files(table, listing)
    partitions = by_partition(listing.files, by) if listing else {_WHOLE: ()}
    _refuse_no_folders(by, partitions)
    lookups: dict[str, tuple[SourceFile, ...]] = {}
    for join in source.joins:
        before = base.build.lookups.get(join.table, ()) if base else ()
        found = list_table(source.tables[join.table], {f.path: f for f in before})
        refuse_empty_files(source.tables[join.table], found)
        if found:
            lookups[join.table] = tuple(found.files[path] for path in sorted(found.files))
    plan = Plan(
        base=base,
        by=by,
        listing=listing,
        partitions=partitions,
        left_out=left_out,
        pruned=pruned,
        lookups=lookups,
        process=frozenset(),
        removed=frozenset(old) - frozenset(partitions),
        refit=False,
        why="",
    )
    if base is None:
        return plan.refitted("the first build")
    changed = changed_keys(base.build.recipe, recipe)
    if pruned and (base.build.pruned or not _condition(base.build.recipe, source.main)):
        # What it selects is compared partition by partition.
        changed = [key for key in changed if key != f"source.tables.{source.main}.partitions"]
    if changed:
        return plan.refitted(f"the recipe changed ({', '.join(changed[:3])})")
    if refit or not base.build.partitions:
        return plan.refitted("asked to fit again" if refit else "the version is of an older kind")
    process, why = _changes(recipe, plan)
    if not process and not plan.removed and not full:
        return replace(plan, why="nothing changed")
    if recipe.increments.refit == "always":
        return plan.refitted(f"increments.refit is always, and {why or 'asked for everything'}")
    if full:
        process, why = frozenset(partitions), "asked for everything"
    gone = (process | plan.removed) if not full else frozenset(old)
    process |= back_again(base.build.crossings, gone) & frozenset(partitions)
    return replace(plan, process=process, why=why)


def back_again(crossings: Iterable[Crossing], gone: frozenset[str]) -> frozenset[str]:
    """Partitions with rows that lost against a row of one whose rows are replaced or removed."""
    return frozenset(c.loser for c in crossings if c.winner in gone)


def changed_keys(before: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Keys of sections that rows depend on, whose values differ."""
    now = redact_recipe(recipe.resolved())
    try:  # with the defaults of keys that are newer than the version
        then = redact_recipe(Recipe.model_validate(before).resolved())
    except ValidationError:
        return ["as a whole"]
    changed = [
        path
        for section in ROWS_DEPEND_ON
        for path in _differences(section, then[section], now[section])
    ]
    return changed + _differences("dataset.keep", then["dataset"]["keep"], now["dataset"]["keep"])


def changed_partitions(plan: Plan) -> tuple[list[str], list[str]]:
    """Names of the partitions that are new, and of those that have other files than before."""
    assert plan.base is not None
    old = {p.name: p.files for p in plan.base.build.partitions}
    new = [name for name in plan.partitions if name not in old]
    changed = [
        name
        for name, files in plan.partitions.items()
        if name in old and not same_files(files, old[name])
    ]
    return new, changed


def _changes(recipe: Recipe, plan: Plan) -> tuple[frozenset[str], str]:
    everything = frozenset(plan.partitions)
    if plan.listing is None:
        return everything, "the main table's files are not known, so it may have changed"
    assert plan.base is not None
    for join in recipe.source.joins:
        if join.on_change == "keep":
            continue
        if join.table not in plan.lookups:
            return everything, f"files of table {join.table} are not known, so it may have changed"
        if not same_files(plan.lookups[join.table], plan.base.build.lookups.get(join.table, ())):
            return everything, f"table {join.table} changed"
    new, changed = changed_partitions(plan)
    counts = {"new": len(new), "changed": len(changed), "removed": len(plan.removed)}
    why = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    some = [*new, *changed, *sorted(plan.removed)]
    names = f" ({', '.join(some[:3])}{', …' if len(some) > 3 else ''})" if any(some) else ""
    return frozenset([*new, *changed]), f"source partitions: {why}{names}"


def _condition(recipe: Mapping[str, Any], main: str) -> str | None:
    """`source.tables.<main>.partitions` of a recipe as a version keeps it."""
    found = recipe.get("source", {}).get("tables", {}).get(main, {}).get("partitions")
    return str(found) if found else None


def _refuse_nothing(recipe: Recipe, listing: Listing) -> None:
    name = recipe.source.main
    table = recipe.source.tables[name]
    if not listing.files:
        raise LakeError(f"table {name!r} at {table.path} is empty: 0 rows where {table.partitions}")


def _refuse_no_folders(by: str | list[str], partitions: Mapping[str, Any]) -> None:
    if isinstance(by, list) and set(partitions) == {_WHOLE}:
        raise LakeError(
            f"increments.by is {', '.join(by)}, and no folder of the main table is named like "
            f"{by[0]}=…; name columns that the lake is partitioned by, or use file or table"
        )


def _differences(path: str, before: Any, now: Any) -> list[str]:
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*now, *(k for k in before if k not in now)]
        return [
            found
            for key in keys
            for found in _differences(f"{path}.{key}", before.get(key), now.get(key))
        ]
    return [path]
