"""Check that what was read is what was listed: files of the lake that changed while a job ran.

A job lists its tables before it reads them and once more before it publishes. Where the two
listings differ, what it read is neither the old state nor the new.
"""

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.source.list_table import list_table
from headrace.source.listing import Listing, group_by_partition, has_same_files
from headrace.source.partition_index import ReadPlan


def refuse_changed_partitions(
    name: str,
    table: s.Table,
    plan: ReadPlan,
    *,
    pruned_folders: frozenset[str] = frozenset(),
    new_files: bool = True,
) -> None:
    """Refuse to go on where a source partition that was read has other files now.

    Args:
        name: of the table, for the message.
        table: the main table.
        plan: what was read of it; nothing is checked where it has no listing, or is a snapshot,
            whose files no commit changes.
        pruned_folders: folders that the plan's listing is without.
        new_files: whether a new file is a change of its partition. It is none where the next job
            reads that partition again, with the file.

    Raises:
        LakeError: a file changed, is gone or is new.
    """
    if plan.listing is None or plan.listing.is_snapshot:
        return
    listing = list_table(table, {}, name, open_footers=False)
    partitions = (
        group_by_partition(listing.without_folders(pruned_folders), plan.partitioning)
        if listing
        else {}
    )
    before = {file.identity for n in plan.processed for file in plan.partitions[n]}
    now = {file.identity for n in plan.processed for file in partitions.get(n, ())}
    changed = before ^ now if new_files else before - now
    if changed:
        raise _describe_change(name, min(changed)[0] or "its file")


def refuse_changed_table(name: str, table: s.Table, before: Listing) -> None:
    """Refuse to go on where a table has other files than when it was listed.

    Args:
        name: of the table, for the message.
        table: the recipe's.
        before: the earlier listing; of a snapshot nothing is checked.

    Raises:
        LakeError: a file changed, is gone or is new.
    """
    if before.is_snapshot:
        return
    listing = list_table(table, {}, name, open_footers=False)
    if listing is None or not has_same_files(listing.files.values(), before.files.values()):
        raise _describe_change(name, "its files")


def _describe_change(name: str, changed: str) -> LakeError:
    return LakeError(
        f"table {name!r}: {changed} changed while the table was read, so what was read is neither "
        "the old state nor the new. Nothing was published; run the command again"
    )
