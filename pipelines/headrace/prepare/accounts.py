"""Turn what the tasks counted into what a build records: ledgers, and the profile of its rows."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from headrace.columns.histogram import HistogramAxis
from headrace.lake.data_file import SPLITS
from headrace.lake.ledger import Ledger
from headrace.lake.profile import Profile, RuleCount
from headrace.lake.source_partition import SourcePartition
from headrace.number_text import format_share
from headrace.prepare.assign import Buckets
from headrace.prepare.plan import Plan
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.prepare.write.job import Written
from headrace.prepare.write.tally import build_empty_profile
from headrace.source.read import ReadRows
from headrace.source.rules import Check
from headrace.transform.fit import FitInputs

UNSEEN_CLASS = "label class is not in the train split"
EXCLUDED = "where of the main table"
ERASED = "erased on request"


def count_buckets(counts: TaskCounts, checks: Sequence[Check]) -> dict[str, int]:
    """Return the rows of every bucket, by its name."""
    rows = counts.sum_buckets()
    return {name: rows[i] for i, name in enumerate(Buckets(tuple(checks)).names)}


def describe_shares(buckets: Mapping[str, int]) -> str:
    """Return the rows of every split and their shares as ` (train 80, 80.0%; …)`."""
    rows = {split: buckets.get(split, 0) for split in SPLITS}
    total = max(1, sum(rows.values()))
    listed = (f"{split} {n:,}, {format_share(n / total)}" for split, n in rows.items())
    return f" ({'; '.join(listed)})"


def account_for_partitions(
    plan: Plan,
    build_id: str,
    raw: ReadRows,
    checks: Sequence[Check],
    counts: TaskCounts,
    written: Written,
) -> tuple[SourcePartition, ...]:
    """Build the record of every source partition that was processed: its files and its ledger."""
    published: dict[str, Counter[str]] = defaultdict(Counter)
    for file in written.files:
        for run in file.list_runs():
            published[run.partition][file.split] += run.rows
    return tuple(
        SourcePartition(
            name=name,
            build_id=build_id,
            files=plan.partitions[name],
            ledger=_build_ledger(
                position, name, raw, checks, counts, published[name], written.unseen[name]
            ),
        )
        for position, name in enumerate(raw.partition_index.names)
    )


def _build_ledger(
    position: int,
    name: str,
    raw: ReadRows,
    checks: Sequence[Check],
    counts: TaskCounts,
    published: "Counter[str]",
    unseen: int,
) -> Ledger:
    """Build the ledger of the source partition at a position.

    Args:
        position, name: of the source partition.
        raw, checks, counts: of all rows.
        published: split -> rows in files of the partition.
        unseen: its rows that were left out when files were written.
    """
    buckets = Buckets(tuple(checks))
    rows = {n: counts.buckets[position, bucket] for bucket, n in enumerate(buckets.names)}
    rejected = {
        action: {c.name: rows[c.name] for c in checks if c.on_violation == action}
        for action in ("quarantine", "drop")
    }
    filtered = {n: rows[n] for n in buckets.filters[:1]}
    filtered |= {n: rows[n] for n in buckets.filters[1:] if rows[n]}
    if raw.erased.get(name):
        filtered[ERASED] = raw.erased[name]
    if raw.excluded[name]:
        filtered[EXCLUDED] = raw.excluded[name]
    if unseen:
        filtered[UNSEEN_CLASS] = unseen
    return Ledger(
        read=raw.read[name],
        published={split: published[split] for split in SPLITS},
        quarantined=rejected["quarantine"],
        duplicates=counts.duplicates[position],
        filtered=filtered | rejected["drop"],
    )


def build_profile(
    fit_inputs: FitInputs,
    axes: tuple[HistogramAxis, ...],
    checks: Sequence[Check],
    counts: TaskCounts,
    written: Written,
) -> Profile:
    """Build the profile of the rows that this build wrote."""
    rules = tuple(
        RuleCount(
            name=check.name,
            on_violation=check.on_violation,
            rows=counts.violations[i],
            examples=tuple(counts.examples.get(i, ())),
        )
        for i, check in enumerate(checks)
    )
    return build_empty_profile(axes, fit_inputs.raw).sum_tallies(written.tallies, rules)
