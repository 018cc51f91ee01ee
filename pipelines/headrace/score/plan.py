"""Plan a scoring job: the source partitions that are new, or changed since they were scored."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.lake.score_record import ScoredPartition, ScoreRecord
from headrace.lake.snapshot import Snapshot
from headrace.lake.source_partition import SourceFile
from headrace.recipe import Recipe
from headrace.source.list_table import list_table, refuse_empty_files
from headrace.source.listing import (
    Listing,
    choose_partitioning,
    group_by_partition,
    has_same_files,
    parse_folder_values,
)
from headrace.source.unchanged_partitions import (
    find_unchanged_partitions,
    select_other_partitions,
)

_WHOLE = ""


@dataclass(frozen=True)
class ScorePlan:
    """The plan of a scoring job; a `source.partition_index.ReadPlan`.

    Attributes:
        source: the table, as the record names it.
        partitioning: how it is divided, as `increments.by`.
        listing: its files; None where only Spark knows them.
        partitions: every source partition there is now, and the files that hold its rows.
        values: of those that are processed, partition column -> value.
        processed: source partitions whose rows are scored.
        unaffected: partitions whose predictions stay as they are, those of other tables included.
        removed_count: number of source partitions that are gone from the table, whose predictions
            go as well.
        has_rewritten_files: whether rows with predictions are in other files than the record says.
        reason: why these are scored, or nothing is; human-readable.
        lookups: none; joined tables are listed when they are read.
    """

    source: str
    partitioning: str | list[str]
    listing: Listing | None
    partitions: Mapping[str, tuple[SourceFile, ...]]
    values: Mapping[str, Mapping[str, str | None]]
    processed: frozenset[str]
    unaffected: tuple[ScoredPartition, ...]
    removed_count: int
    has_rewritten_files: bool
    reason: str
    lookups: None = None

    @property
    def retained(self) -> frozenset[str]:
        """Return the source partitions whose rows are not read."""
        return frozenset(self.partitions) - self.processed

    @property
    def is_up_to_date(self) -> bool:
        """Return whether the predictions are what they should be."""
        return not self.processed and not self.removed_count and not self.has_rewritten_files

    def list_snapshots(self, before: Mapping[str, Snapshot]) -> dict[str, Snapshot]:
        """Return the snapshot of each table with a log that has predictions."""
        log = self.listing.log if self.listing else None
        scored = {partition.source for partition in self.unaffected} - {self.source}
        now = {self.source: log.snapshot} if log else {}
        return {name: kept for name, kept in before.items() if name in scored} | now

    def list_paths(self) -> list[str] | None:
        """Return the files to read, as the listing names them; None where it is the whole table."""
        if self.listing is None or self.processed == frozenset(self.partitions):
            return None
        return sorted(f.path for name in self.processed for f in self.partitions[name])


def make_plan(recipe: Recipe, source: str, base: ScoreRecord | None, *, full: bool) -> ScorePlan:
    """Compare the table with what was scored of it.

    A changed model or joined table is no reason to score rows again that have predictions; each
    prediction names its model.

    Args:
        recipe: the main table is the one to score.
        source: its name in the record.
        base: the newest record; None before the first.
        full: read everything, scored or not.

    Raises:
        LakeError: the store cannot be reached, or a file is empty.
    """
    scored = base.partitions if base else ()
    old = {p.name: p for p in scored if p.source == source}
    old_files = {f.path: f for p in old.values() for f in p.files}
    table = recipe.source.tables[recipe.source.main]
    known, snapshots = (base.file_columns, base.snapshots) if base else ({}, {})
    since = snapshots.get(source)
    listing = list_table(table, old_files, recipe.source.main, schemas=known, since=since)
    partitioning = choose_partitioning(recipe, listing)
    refuse_empty_files(table, listing)
    fresh: dict[str, tuple[SourceFile, ...]] = {_WHOLE: ()}
    if listing is not None:
        fresh = group_by_partition(listing, partitioning)
    unchanged: dict[str, tuple[SourceFile, ...]] = {}
    if listing is not None:
        before = {name: partition.files for name, partition in old.items()}
        unchanged = find_unchanged_partitions(listing, fresh, before, partitioning)
    partitions = select_other_partitions(fresh, unchanged)
    new = [name for name in partitions if name not in old]
    changed = [name for name in partitions if name in old]
    removed = [name for name in old if name not in partitions and name not in unchanged]
    if full:
        partitions, unchanged = fresh, {}
        removed = [name for name in old if name not in fresh]
    processed = frozenset(partitions)
    unaffected = tuple(
        # their rows are unchanged, with what is known of their files now
        p if p.source != source else p.model_copy(update={"files": unchanged[p.name]})
        for p in scored
        if p.source != source or p.name in unchanged
    )
    counts = {"new": len(new), "changed": len(changed), "removed": len(removed)}
    changes = ", ".join(f"{n} {change}" for change, n in counts.items() if n)
    reason = "asked for everything" if full else f"source partitions: {changes}" if changes else ""
    is_auto = recipe.increments.by == "auto"
    return ScorePlan(
        source=source,
        partitioning=partitioning,
        listing=listing,
        partitions=unchanged | partitions,
        values={
            name: listing.get_values(name)
            if listing and listing.is_snapshot and is_auto and partitioning == "file"
            else parse_partition_values(name, partitioning)
            for name in processed
        },
        processed=processed,
        unaffected=unaffected,
        removed_count=len(removed),
        has_rewritten_files=any(
            p.source == source and not has_same_files(p.files, old[p.name].files)
            for p in unaffected
        ),
        reason=reason or "nothing changed",
    )


def parse_partition_values(name: str, partitioning: str | list[str]) -> dict[str, str | None]:
    """Return the columns and values in a source partition's name, in its order."""
    if partitioning in ("file", "table") or not name:
        return {}
    return parse_folder_values(name)
