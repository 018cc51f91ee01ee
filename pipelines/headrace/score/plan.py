"""What a scoring job has to do: source partitions that are new, or changed since."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.lake.score_record import ScoredPartition, ScoreRecord
from headrace.lake.source_partition import SourceFile
from headrace.recipe import Recipe
from headrace.source.listing import (
    Listing,
    by_partition,
    folder_values,
    how_partitioned,
    list_table,
    refuse_empty_files,
    same_files,
)

_WHOLE = ""


@dataclass(frozen=True)
class ScorePlan:
    """What is read; a `source.places.Chosen`.

    Attributes:
        source: the table, as the record names it.
        by: how it is divided, as `increments.by`.
        listing: its files; None where only Spark knows them.
        partitions: every source partition there is now, and its files.
        process: those that are read.
        stay: partitions whose predictions stay as they are, those of other tables included.
        removed: how many are gone from the table, whose predictions go as well.
        why: for people.
    """

    source: str
    by: str | list[str]
    listing: Listing | None
    partitions: Mapping[str, tuple[SourceFile, ...]]
    process: frozenset[str]
    stay: tuple[ScoredPartition, ...]
    removed: int
    why: str

    @property
    def kept(self) -> frozenset[str]:
        return frozenset(self.partitions) - self.process

    @property
    def nothing(self) -> bool:
        """Whether the predictions are what they should be."""
        return not self.process and not self.removed

    def urls(self) -> list[str] | None:
        if self.listing is None or self.process == frozenset(self.partitions):
            return None
        paths = [f.path for name in self.process for f in self.partitions[name]]
        return self.listing.urls(paths)


def make_plan(recipe: Recipe, source: str, base: ScoreRecord | None, *, full: bool) -> ScorePlan:
    """Compare the table with what was scored of it.

    A new model does not score again what has predictions: they say which model made them. Neither
    do joined tables that changed: predictions were made with what was known.

    Args:
        recipe: the main table is the one to score.
        source: its name in the record.
        base: the newest record; None before the first.
        full: read everything, scored or not.

    Raises:
        LakeError: the store cannot be reached, or a file is empty.
    """
    there = base.partitions if base else ()
    old = {p.name: p for p in there if p.source == source}
    known = {f.path: f for p in old.values() for f in p.files}
    by = how_partitioned(recipe)
    table = recipe.source.tables[recipe.source.main]
    listing = list_table(table, known)
    refuse_empty_files(table, listing)
    partitions = by_partition(listing.files, by) if listing else {_WHOLE: ()}
    new = [name for name in partitions if name not in old]
    changed = [
        name
        for name, files in partitions.items()
        if name in old and (listing is None or not same_files(files, old[name].files))
    ]
    removed = [name for name in old if name not in partitions]
    process = frozenset(partitions) if full else frozenset([*new, *changed])
    stay = tuple(
        p for p in there if p.source != source or (p.name in partitions and p.name not in process)
    )
    counts = {"new": len(new), "changed": len(changed), "removed": len(removed)}
    said = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    why = "asked for everything" if full else f"source partitions: {said}" if said else ""
    return ScorePlan(
        source=source,
        by=by,
        listing=listing,
        partitions=partitions,
        process=process,
        stay=stay,
        removed=len(removed),
        why=why or "nothing changed",
    )


def partition_values(name: str, by: str | list[str]) -> dict[str, str | None]:
    """Columns and values that a source partition's name says, in its order."""
    if by in ("file", "table") or not name:
        return {}
    return folder_values(name)
