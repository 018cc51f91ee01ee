"""From what the tasks counted to what a build records: ledgers, and the profile of its rows."""

from headrace.lake.data_file import SPLITS
from headrace.lake.histogram import Axis
from headrace.lake.ledger import Ledger
from headrace.lake.profile import Profile, RuleCount
from headrace.lake.source_partition import SourcePartition
from headrace.prepare.assign import Buckets
from headrace.prepare.plan import Plan
from headrace.prepare.shuffle.task_counts import Counts
from headrace.prepare.write.job import Written
from headrace.prepare.write.tally import empty_profile
from headrace.source.read import Raw
from headrace.source.rules import Checked
from headrace.transform.fit import Unfitted

UNSEEN_CLASS = "label class is not in the train split"
EXCLUDED = "where of the main table"


def named_buckets(counts: Counts, checked: Checked) -> dict[str, int]:
    """Rows a bucket, by name."""
    return {name: counts.in_bucket(i) for i, name in enumerate(Buckets(checked.checks).names)}


def partitions_of(
    plan: Plan, build_id: str, raw: Raw, checked: Checked, counts: Counts, written: Written
) -> tuple[SourcePartition, ...]:
    """What became of every source partition that this build processed."""
    return tuple(
        SourcePartition(
            name=name,
            build_id=build_id,
            files=plan.partitions[name],
            ledger=_ledger(position, name, raw, checked, counts, written),
        )
        for position, name in enumerate(raw.places.names)
    )


def _ledger(
    position: int, name: str, raw: Raw, checked: Checked, counts: Counts, written: Written
) -> Ledger:
    buckets = Buckets(checked.checks)
    rows = {n: counts.buckets[position, place] for place, n in enumerate(buckets.names)}
    taken = {
        action: {c.name: rows[c.name] for c in checked.checks if c.on_violation == action}
        for action in ("quarantine", "drop")
    }
    filtered = {n: rows[n] for n in buckets.filters[:1]}
    filtered |= {n: rows[n] for n in buckets.filters[1:] if rows[n]}
    if raw.excluded[name]:
        filtered[EXCLUDED] = raw.excluded[name]
    if written.unseen[name]:
        filtered[UNSEEN_CLASS] = written.unseen[name]
    mine = [f for f in written.files if f.partition == name]
    return Ledger(
        read=raw.read[name],
        published={s: sum(f.rows for f in mine if f.split == s) for s in SPLITS},
        quarantined=taken["quarantine"],
        duplicates=counts.duplicates[position],
        filtered=filtered | taken["drop"],
    )


def profile_of(
    unfitted: Unfitted,
    axes: tuple[Axis, ...],
    checked: Checked,
    counts: Counts,
    written: Written,
) -> Profile:
    """Of the rows that this build wrote."""
    rules = tuple(
        RuleCount(
            name=check.name,
            on_violation=check.on_violation,
            rows=counts.violations[i],
            examples=tuple(counts.examples.get(i, ())),
        )
        for i, check in enumerate(checked.checks)
    )
    split_of: dict[str, str] = {file.path: file.split for file in written.files}
    tallies = [(split_of[t.path], t) for t in written.tallies]
    return empty_profile(axes, unfitted.raw).of_files(tallies, rules)
