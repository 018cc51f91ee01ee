"""How `headrace inspect`, `diff` and `vacuum` show what they found, a line each."""

from typing import TYPE_CHECKING, Any

from headrace.commands.results import ledger_lines

if TYPE_CHECKING:
    from headrace.lake import DatasetVersion
    from headrace.lake.compare import ColumnStatistics, Comparison
    from headrace.lake.drift import ColumnDrift
    from headrace.lake.history import PastVersion
    from headrace.lake.vacuum import Vacuumed
    from headrace.stream.shuffle import ShuffleQuality

_SHOWN = 12


def version_lines(versions: "list[PastVersion]") -> list[str]:
    head = (
        f"{'version':>7}  {'committed (UTC)':<19}  {'build':<24}  {'rows':>12}  "
        "recipe, code, what it is"
    )
    lines = [head]
    for v in versions:
        when = f"{v.committed:%Y-%m-%d %H:%M:%S}"
        if v.summary is None:
            what = "removed" if v.build_id else "not by Headrace"
            what = "cannot be read" if v.trouble else what
            lines.append(f"{v.version:>7}  {when}  {v.build_id or '':<24}  {'':>12}  {what}")
            continue
        rows = sum(v.summary.rows.values())
        kind = "increment" if v.summary.partial else "all rows"
        name = v.summary.recipe
        code = f"{v.summary.headrace_version} {(v.summary.git_commit or '')[:7]}".strip()
        lines.append(
            f"{v.version:>7}  {when}  {v.build_id or '':<24}  {rows:>12,}  {name}, {code}, {kind}"
        )
    return lines


def shuffle_lines(how: dict[str, Any], found: "ShuffleQuality") -> list[str]:
    order = "shuffled" if how["shuffle"] else "in order"
    pairs = [
        ("median distance of neighbours", found.distance, found.distance_full, ".3f"),
        ("neighbours of one row group", found.same_row_group, found.same_row_group_full, ".4f"),
        ("row groups a batch", found.row_groups_a_batch, found.row_groups_a_batch_full, ".1f"),
        ("correlation with the dataset's order", found.drift, 0.0, ".4f"),
    ]
    return [
        f"Shuffle of the train rows, first epoch, {found.rows:,} rows looked at",
        f"  {order}, batches of {how['global_batch_size']:,}, {how['canonical_shards']} shards, "
        f"blocks of {how['block_rows']:,} rows, seed {how['seed']}",
        f"  {'':<38}{'this':>10}{'full permutation':>20}",
        *(f"  {name:<38}{mine:>10{form}}{full:>20{form}}" for name, mine, full, form in pairs),
    ]


def chosen_lines(dataset: "DatasetVersion") -> list[str]:
    from headrace.lake.compare import ColumnStatistics

    build = dataset.build
    code = f"Headrace {build.headrace_version}"
    if build.git_commit:
        code += f", commit {build.git_commit[:12]}"
    fitted_by = build.transform_of or build.build_id
    lines = [
        f"Version {dataset.version}: build {build.build_id} of {build.created_at}, {code}",
        f"  transform {build.transform_digest[:12]}, fitted by build {fitted_by}",
        *ledger_lines(build.ledger),
    ]
    if build.partial:
        lines += ledger_lines(build.processed, "Rows of this build")
    lines.append("Source partitions")
    for p in build.partitions[:_SHOWN]:
        size = sum(f.bytes for f in p.files)
        published = sum(p.ledger.published.values())
        own = "" if p.build_id == build.build_id else f", by build {p.build_id}"
        lines.append(
            f"  {p.name or 'the whole table':<28}{len(p.files):>6} files {size:>14,} bytes "
            f"{p.ledger.read:>12,} rows read {published:>12,} published{own}"
        )
    if len(build.partitions) > _SHOWN:
        lines.append(f"  and {len(build.partitions) - _SHOWN} more (--json lists all)")
    for table, source in build.sources.items():
        lines.append(f"  {table}: {source['path']}, {source['rows']:,} rows read by this build")
    lines += _drift_lines("Drift of this build's rows", build.drift)
    lines.append("Columns, all splits (about 1, 50, 99% quantiles before scaling)")
    for item in dataset.profile.distributions:
        lines.append(f"  {item.name:<28}{_facts(ColumnStatistics.of(item, build.label_kind))}")
    return lines


def _facts(known: "ColumnStatistics") -> str:
    facts = [f"{known.values:>12,} values"]
    if known.quantiles:
        facts.append(", ".join(f"{q:.4g}" for q in known.quantiles))
    if known.positive is not None:
        facts.append(f"true {known.positive:.2%}")
    if known.missing is not None:
        facts.append(f"missing {known.missing:.2%}")
    if known.unknown is not None:
        facts.append(f"out of vocabulary {known.unknown:.2%}")
    return "  ".join(facts)


def _drift_lines(title: str, drift: "tuple[ColumnDrift, ...]") -> list[str]:
    if not drift:
        return []
    far = [d for d in drift if d.drifted]
    lines = [f"{title}: {len(far)} of {len(drift)} measures above their limits"]
    for d in sorted(far, key=lambda d: d.limit / d.value)[:_SHOWN]:
        lines.append(f"  {d.name:<28}{d.measure:<14}{d.value:>8.3f}  limit {d.limit:.3f}")
    return lines


def comparison_lines(found: "Comparison", first: int, second: int) -> list[str]:
    lines = [f"Version {first} to version {second}"]
    for split, (before, now) in found.rows.items():
        lines.append(f"  {split:<28}{before:>12,} rows  {now:>12,} rows  {now - before:>+12,}")
    both, gone, new = found.files
    lines.append(f"  data files: {both} in both, {gone} removed, {new} added")
    for what, names in found.partitions.items():
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"  source partitions {what}: {', '.join(names[:_SHOWN])}{more}")
    for name, (old_type, new_type) in found.columns.items():
        if old_type is None or new_type is None:
            what = "added" if old_type is None else "removed"
            lines.append(f"  column {name} {what}, {new_type or old_type}")
        else:
            lines.append(f"  column {name} is {new_type}, it was {old_type}")
    same = "the same transform" if found.same_transform else "another transform"
    lines.append(f"  {same}")
    lines.append("Columns, all splits (about 1, 50, 99% quantiles before scaling)")
    for name, (first_known, second_known) in found.statistics.items():
        lines.append(f"  {name:<28}{_facts(first_known)}")
        if second_known != first_known:
            lines.append(f"  {'':<26}> {_facts(second_known)}")
    lines += _drift_lines("Values", found.drift)
    if found.other_bins:
        lines.append(
            f"  not compared, because they were fitted on other rows: {', '.join(found.other_bins)}"
        )
    return lines


def vacuum_lines(found: "Vacuumed", removed: bool) -> list[str]:
    verb = "removed" if removed else "would be removed (--yes does it)"
    lines = [f"{len(found.files):,} files, {found.bytes:,} bytes {verb}"]
    if found.versions:
        shown = ", ".join(map(str, found.versions[:_SHOWN]))
        lines.append(f"  versions that can no longer be read: {shown}")
    if found.leftovers:
        lines.append(f"  builds that died: {', '.join(found.leftovers[:_SHOWN])}")
    return lines
