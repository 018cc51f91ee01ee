"""Format the results of `headrace inspect`, `diff` and `vacuum` as lines of text."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.commands.results import format_ledger
from headrace.number_text import format_beside, format_number, format_share

if TYPE_CHECKING:
    from headrace.lake import DatasetVersion
    from headrace.lake.compare import ColumnStatistics, Comparison
    from headrace.lake.data_statistics import Alert, ColumnSummary, DataStatistics
    from headrace.lake.drift import ColumnDrift
    from headrace.lake.history import VersionEntry
    from headrace.lake.vacuum import VacuumResult
    from headrace.stream.shuffle import ShuffleQuality

# Longer lists are truncated to this many items; `--json` has all.
_SHOWN_ITEMS = 12


def format_versions(versions: "list[VersionEntry]") -> list[str]:
    """Return a table of a dataset's versions, a line per version."""
    header = (
        f"{'version':>7}  {'committed (UTC)':<19}  {'build':<24}  {'rows':>12}  "
        "recipe, code, what it is"
    )
    lines = [header]
    for version in versions:
        committed = f"{version.committed:%Y-%m-%d %H:%M:%S}"
        start = f"{version.version:>7}  {committed}  {version.build_id or '':<24}"
        summary = version.summary
        if summary is None:
            state = "removed" if version.build_id else "not by Headrace"
            state = "cannot be read" if version.problem else state
            lines.append(f"{start}  {'':>12}  {state}")
            continue
        rows = sum(summary.rows.values())
        kind = "increment" if summary.is_incremental else "all rows"
        if summary.restored is not None:
            kind = f"version {summary.restored} again"
        if summary.optimized is not None:
            kind = summary.optimized.describe()
        code = f"{summary.headrace_version} {(summary.git_commit or '')[:7]}".strip()
        lines.append(f"{start}  {rows:>12,}  {summary.recipe}, {code}, {kind}")
    return lines


def format_shuffle_quality(settings: dict[str, Any], quality: "ShuffleQuality") -> list[str]:
    """Return how well the train rows are shuffled, beside a full permutation of them."""
    order = "shuffled" if settings["shuffle"] else "in order"
    measures = [
        ("median distance of neighbours", quality.distance, quality.distance_full),
        ("neighbours of one row group", quality.same_row_group, quality.same_row_group_full),
        (
            "row groups per batch",
            quality.row_groups_a_batch,
            quality.row_groups_a_batch_full,
        ),
        ("correlation with the dataset's order", quality.drift, 0.0),
    ]
    return [
        f"Shuffle of the train rows, first epoch, {quality.rows:,} rows measured",
        f"  {order}, batches of {settings['global_batch_size']:,}, "
        f"{settings['canonical_shards']} shards, blocks of {settings['block_rows']:,} rows, "
        f"seed {settings['seed']}",
        f"  {'':<38}{'this':>10}{'full permutation':>20}",
        *(
            f"  {name:<38}{format_number(measured, 4):>10}{format_number(full, 4):>20}"
            for name, measured, full in measures
        ),
    ]


def format_dataset(dataset: "DatasetVersion") -> list[str]:
    """Return one version: its build, ledger, source partitions, drift and column statistics."""
    from headrace.lake.compare import ColumnStatistics
    from headrace.lake.split_definition import describe_split

    build = dataset.build
    code = f"Headrace {build.headrace_version}"
    if build.git_commit:
        code += f", commit {build.git_commit[:12]}"
    fitted_by = build.transform_of or build.build_id
    split = describe_split(build)
    lines = [
        f"Version {dataset.version}: build {build.build_id} of {build.created_at}, {code}",
        *([f"  {build.optimized.describe()}"] if build.optimized else []),
        f"  transform {build.transform_digest[:12]}, fitted by build {fitted_by}",
        f"  split {split[0]}",
        *(f"    {line}" for line in split[1:]),
        *format_ledger(build.ledger),
    ]
    if build.is_partial:
        lines += format_ledger(build.processed_ledger, "Rows of this build")
    lines.append("Source partitions")
    for partition in build.partitions[:_SHOWN_ITEMS]:
        size = sum(file.bytes for file in partition.files)
        published = sum(partition.ledger.published.values())
        is_own = partition.build_id == build.build_id
        origin = "" if is_own else f", by build {partition.build_id}"
        lines.append(
            f"  {partition.name or 'the whole table':<28}{len(partition.files):>6} files "
            f"{size:>14,} bytes {partition.ledger.read:>12,} rows read "
            f"{published:>12,} published{origin}"
        )
    if len(build.partitions) > _SHOWN_ITEMS:
        lines.append(f"  and {len(build.partitions) - _SHOWN_ITEMS} more (--json lists all)")
    for table, source in build.sources.items():
        lines.append(f"  {table}: {source['path']}, {source['rows']:,} rows read by this build")
        if skipped := source.get("skipped"):
            named = ", ".join(source["skipped_paths"][:3]) + (", …" if skipped > 3 else "")
            lines.append(f"    {skipped:,} names below it are no data: {named}")
        lines += [f"    {difference}" for difference in source.get("differences", [])]
        for column, why in source.get("unread_columns", {}).items():
            lines.append(f"    column {column!r} is not read: it {why}")
    lines += _format_drift("Drift of this build's rows", build.drift)
    described = dataset.statistics
    if described is not None:
        lines += format_alerts(described.alerts)
        lines += format_columns(described)
        lines.append("Dataset columns, all splits (about 1, 50, 99% quantiles, from bins)")
    else:
        lines.append(_head_binned("this version has"))
    for item in dataset.profile.distributions:
        statistics = ColumnStatistics.from_distribution(item, build.label_kind)
        if described is not None and described.list_quantiles(item.name, (0.5,)):
            statistics = replace(statistics, quantiles=())
        lines.append(f"  {item.name:<28}{_format_statistics(statistics)}")
    return lines


def _head_binned(whose: str) -> str:
    """Return the title of columns whose quantiles are estimates, and why they are."""
    return (
        f"Columns, all splits (about 1, 50, 99% quantiles before scaling, from bins: {whose} no "
        "statistics of rows; `headrace prepare --full` adds them)"
    )


def format_alerts(alerts: "Sequence[Alert]") -> list[str]:
    """Return a line for each of the first alerts."""
    if not alerts:
        return ["Alerts: none"]
    lines = [f"Alerts: {len(alerts)}"]
    for alert in alerts[:_SHOWN_ITEMS]:
        lines.append(f"  {alert.severity:<8}{alert.column}, {alert.kind}: {alert.sentence}")
    if len(alerts) > _SHOWN_ITEMS:
        lines.append(f"  and {len(alerts) - _SHOWN_ITEMS} more (--json lists all)")
    return lines


def format_columns(described: "DataStatistics") -> list[str]:
    """Return a line for each raw column: values, mean, quantiles, distinct values."""
    lines = [f"Columns before the transform (1, 50, 99% quantiles of {_describe_rows(described)})"]
    lines += [f"  {c.name:<28}{_describe_column(c)}" for c in described.columns]
    return lines


def _describe_rows(described: "DataStatistics") -> str:
    """Return which rows the quantiles are of, and by how much they are off."""
    rows = sum(described.rows.values())
    whose = f"{rows:,} rows" if described.scope == "version" else f"{rows:,} rows of this build"
    if described.is_exact:
        return f"all {whose}"
    error = max((c.rank_error for c in described.columns), default=0.0)
    return (
        f"{described.sampled_rows:,} of {whose}: ranks are off by {format_share(error)} at "
        f"most, in {format_share(described.confidence)} of cases; counts and mean are exact"
    )


def _describe_column(column: "ColumnSummary") -> str:
    """Return the values, mean, quantiles and distinct values of a raw column."""
    facts = [f"{column.value_count:>12,} values"]
    if column.quantiles:
        shown = (column.find_quantile(share) for share in (0.01, 0.5, 0.99))
        facts.append(", ".join(format_value(q.value, column.kind) for q in shown if q))
    if column.mean is not None:
        facts.append(f"mean {format_value(column.mean, column.kind)}")
    if column.zeros:
        facts.append(f"zero {format_share(column.zeros / column.value_count)}")
    if column.missing_count:
        facts.append(f"missing {format_share(column.missing_count / column.row_count)}")
    if column.distinct is not None:
        at_least = "" if column.distinct.is_exact else "at least "
        facts.append(f"{at_least}{column.distinct.low:,} distinct")
    return "  ".join(facts)


def format_value(value: float, kind: str) -> str:
    """Return a value of a raw column for people: times as dates.

    Args:
        value: the number; of a time microseconds since 1970.
        kind: of the column.
    """
    if kind != "timestamp":
        return format_number(value, 4)
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(value))
    except OverflowError:  # before the year 1 or after 9999
        return format_number(value, 4)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _format_statistics(statistics: "ColumnStatistics") -> str:
    facts = [f"{statistics.values:>12,} values"]
    if statistics.quantiles:
        facts.append(", ".join(f"{format_number(q, 4)}" for q in statistics.quantiles))
    if statistics.positive is not None:
        facts.append(f"true {format_share(statistics.positive)}")
    if statistics.missing is not None:
        facts.append(f"missing {format_share(statistics.missing)}")
    if statistics.unknown is not None:
        facts.append(f"out of vocabulary {format_share(statistics.unknown)}")
    return "  ".join(facts)


def _format_drift(title: str, drift: "tuple[ColumnDrift, ...]") -> list[str]:
    if not drift:
        return []
    drifted = [column for column in drift if column.has_drifted]
    lines = [f"{title}: {len(drifted)} of {len(drift)} measures above their limits"]
    for column in sorted(drifted, key=lambda column: column.limit / column.value)[:_SHOWN_ITEMS]:
        lines.append(
            f"  {column.name:<28}{column.measure:<14}"
            f"{format_beside(column.value, column.limit, 3):>8}  limit "
            f"{format_number(column.limit, 3)}"
        )
    return lines


def format_comparison(comparison: "Comparison", first: int, second: int) -> list[str]:
    """Return the differences of two versions: rows, files, partitions, columns and values."""
    lines = [f"Version {first} to version {second}"]
    for split, (before, after) in comparison.rows.items():
        lines.append(f"  {split:<28}{before:>12,} rows  {after:>12,} rows  {after - before:>+12,}")
    common, removed, added = comparison.files
    lines.append(f"  data files: {common} in both, {removed} removed, {added} added")
    if comparison.same_rows:
        lines.append("  no row changed: the same rows in the same order")
    for change, names in comparison.partitions.items():
        if names:
            more = f" and {len(names) - _SHOWN_ITEMS} more" if len(names) > _SHOWN_ITEMS else ""
            shown = ", ".join(name or "the whole table" for name in names[:_SHOWN_ITEMS])
            lines.append(f"  source partitions {change}: {shown}{more}")
    for name, (old_type, new_type) in comparison.columns.items():
        if old_type is None or new_type is None:
            change = "added" if old_type is None else "removed"
            lines.append(f"  column {name} {change}, {new_type or old_type}")
        else:
            lines.append(f"  column {name} is {new_type}, was {old_type}")
    lines.append(f"  {'the same' if comparison.same_transform else 'another'} transform")
    lines += _compare_raw_columns(comparison, first, second)
    for name, both in comparison.statistics.items():
        is_shown = all(d and d.list_quantiles(name, (0.5,)) for d in comparison.described)
        old, new = (replace(one, quantiles=()) if is_shown else one for one in both)
        lines.append(f"  {name:<28}{_format_statistics(old)}")
        if new != old:
            lines.append(f"  {'':<26}> {_format_statistics(new)}")
    lines += _format_drift("Values", comparison.drift)
    if comparison.other_bins:
        columns = ", ".join(comparison.other_bins)
        lines.append(f"  not compared, because they were fitted on other rows: {columns}")
    return lines


def _compare_raw_columns(comparison: "Comparison", first: int, second: int) -> list[str]:
    """Return the raw columns of both versions, and the title of the dataset columns below them."""
    old, new = comparison.described
    if old is None or new is None:
        without = [n for n, d in ((first, old), (second, new)) if d is None]
        return [_head_binned(f"version {without[0]} has" if len(without) == 1 else "they have")]
    lines = ["Columns before the transform (1, 50, 99% quantiles)"]
    lines += [f"  version {n}: of {_describe_rows(d)}" for n, d in ((first, old), (second, new))]
    for before, after in comparison.raw_columns:
        if before is not None:
            lines.append(f"  {before.name:<28}{_describe_column(before)}")
        elif after is not None:
            lines.append(f"  {after.name:<28}added")
        if after is None:
            lines.append(f"  {'':<26}> removed")
        elif after != before:
            lines.append(f"  {'':<26}> {_describe_column(after)}")
    lines.append("Dataset columns, all splits (about 1, 50, 99% quantiles, from bins)")
    return lines


def format_vacuum(result: "VacuumResult", removed: bool) -> list[str]:
    """Return the files that were removed, or that `--yes` would remove."""
    outcome = "removed" if removed else "would be removed (--yes does it)"
    lines = [f"{len(result.files):,} files, {result.bytes:,} bytes {outcome}"]
    if result.versions:
        shown = ", ".join(map(str, result.versions[:_SHOWN_ITEMS]))
        lines.append(f"  versions that can no longer be read: {shown}")
    if result.log_files:
        lines.append(f"  {len(result.log_files):,} files of the log before the oldest version")
    if result.leftovers:
        lines.append(f"  dead builds: {', '.join(result.leftovers[:_SHOWN_ITEMS])}")
    return lines
