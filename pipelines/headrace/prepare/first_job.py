"""Start the first job of a build, and find what its rows' keys need of rows that are not read.

A dedup key that does not have the columns of the lake's folders may come again in any source
partition. Keys of the rows that are read are then looked up in hashes of the published ones
(`shuffle/probe_keys.py`), or, where a build left none, compared with these where rows meet
(`shuffle/dedup_across_partitions.py`).
"""

from typing import TYPE_CHECKING

from headrace.prepare.attempt import Attempt
from headrace.prepare.clean import CleanRows
from headrace.prepare.plan import Plan
from headrace.prepare.shuffle.dedup_across_partitions import (
    can_span_partitions,
    count_rows,
    find_columns_beside_key,
    locate_duplicates,
    read_unread_keys,
)
from headrace.prepare.shuffle.join_keys import locate_join_keys
from headrace.prepare.shuffle.merge_statistics import Fitted
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.partitioner import Partitioner, limit_rows_per_file
from headrace.prepare.shuffle.probe_keys import (
    MOST_PROBED_ROWS,
    HashedPartitions,
    find_hashed_partitions,
    find_shared_partitions,
)
from headrace.prepare.shuffle.reduce import shuffle_rows
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.source.read import RawRows, ReadRows
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.types import SMALL_KINDS
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.fit import FitInputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_CELL_BYTES = 10  # of a raw row's number or text, about


def start_shuffle(
    attempt: Attempt, plan: Plan, raw: RawRows, clean: CleanRows
) -> "tuple[ShuffleOptions, DataFrame, HashedPartitions | None]":
    """Plan the first job; return the options of its tasks, the blobs that Spark will cache, and
    where the keys of rows are looked up that stay, if anywhere."""
    from pyspark import StorageLevel

    recipe, fit_inputs = attempt.recipe, clean.fit_inputs
    session = clean.rows.sparkSession
    is_large = not SMALL_KINDS.issuperset(fit_inputs.raw.values())
    rows, rows_per_file, row_bytes = plan_rows_per_file(attempt, raw, fit_inputs)
    unread, partitioner = None, Partitioner.for_rows(rows, rows_per_file, row_bytes=row_bytes)
    hashed: HashedPartitions | None = None
    if plan.base and plan.retained and can_span_partitions(recipe, plan.partitions):
        compared = plan.retained
        if sum(rows) <= MOST_PROBED_ROWS:
            hashed = find_hashed_partitions(plan.base, plan.retained, attempt.report)
            compared -= hashed.names
        unread_rows = count_rows(plan.base, compared)
        partitioner = Partitioner.for_rows(rows, rows_per_file, unread_rows, row_bytes)
        unread = read_unread_keys(session, plan.base, plan, partitioner, compared)
        attempt.report(Progress(describe_key_check(recipe, plan, unread_rows)))
    options = ShuffleOptions(
        fit_inputs=fit_inputs,
        checks=len(clean.checks),
        partitioner=partitioner,
        seed=recipe.split.seed,
        partition_index=raw.partition_index,
        duplicates_folder=locate_duplicates(attempt.root, attempt.build_id),
        join_keys_folder=locate_join_keys(attempt.root, attempt.build_id),
        has_large_rows=is_large,
        collect_statistics=plan.reused_version is None,
        collect_keys=hashed is not None and bool(hashed.builds),
        late=find_engine(session).share(clean.late) if clean.late else None,
        passthrough=tuple(clean.passthrough),
        checked_texts=frozenset(c.texts for c in clean.checks if c.texts),
    )
    blobs = shuffle_rows(clean.rows, options, unread).persist(StorageLevel.DISK_ONLY)
    return options, blobs, hashed


def plan_rows_per_file(
    attempt: Attempt, raw: ReadRows, fit_inputs: FitInputs
) -> tuple[list[int], int, int]:
    """Return the rows of each source partition, about how many a data file is to have, and the
    bytes of a raw row; 0 of these where rows are large."""
    is_large = not SMALL_KINDS.issuperset(fit_inputs.raw.values())
    row_bytes = 0 if is_large else _CELL_BYTES * len(fit_inputs.raw)
    rows = [raw.read[name] - raw.excluded[name] for name in raw.partition_index.names]
    wanted = attempt.recipe.dataset.rows_per_file
    rows_per_file = limit_rows_per_file(wanted, row_bytes)
    if rows_per_file < wanted:
        text = f"files of {rows_per_file:,} rows and not of {wanted:,}"
        attempt.report(Progress(f"{text}, as a row has {len(fit_inputs.raw):,} raw columns"))
    return rows, rows_per_file, row_bytes


def find_needed_partitions(
    attempt: Attempt,
    plan: Plan,
    hashed: HashedPartitions | None,
    fitted: Fitted,
    blobs: "DataFrame",
) -> tuple[str, ...]:
    """Find the retained partitions that share a key with the rows that are read."""
    shared = frozenset(fitted.counts.shared_keys)
    if hashed:
        with explain_spark_errors(f"recipe {attempt.recipe.name!r}"):
            shared |= find_shared_partitions(
                blobs.sparkSession, hashed, fitted.row_ids, attempt.report
            )
        attempt.timer.record_step("keys")
    return tuple(sorted(shared - plan.processed))


def describe_key_check(recipe: Recipe, plan: Plan, compared_rows: int) -> str:
    """Say what the check of keys across source partitions costs, and how to be without it.

    Args:
        recipe: its dedup key is read.
        plan: with a base.
        compared_rows: published rows whose keys are read, as they have no hashes.
    """
    assert plan.base is not None
    rows = count_rows(plan.base, plan.retained)
    text = f"looking for keys among {rows:,} published rows that are not read again"
    if compared_rows:
        text += f" (keys of {compared_rows:,} are read, for others hashes)"
    lacking = find_columns_beside_key(recipe, plan.partitions)
    if plan.partitioning == "file" or not lacking:
        return text
    columns = ", ".join(lacking[:3])
    return (
        f"{text}, as clean.dedup.key lacks {columns}: every increment does. Where no key comes "
        f"again with another {columns}, add that to the key"
    )
