"""Compare two versions of a dataset: columns, rows, files, source partitions, distributions.

The result is plain values; how it is shown is left to `commands/`.
"""

from dataclasses import dataclass, replace

import numpy as np

from headrace.columns.histogram import find_with_missing
from headrace.labels.kinds import KINDS
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import LABEL_KIND, ColumnSummary, DataStatistics
from headrace.lake.drift import (
    ColumnDrift,
    measure_id_drift,
    measure_missing_drift,
    measure_number_drift,
    measure_unknown_drift,
)
from headrace.lake.profile import Distribution
from headrace.lake.source_partition import SourcePartition
from headrace.lake.version import DatasetVersion

_QUANTILES = (0.01, 0.5, 0.99)
# From these distances on a change is called drift; the defaults of a recipe.
_PSI_LIMIT, _SHARE_LIMIT, _UNKNOWN_LIMIT = 0.2, 0.1, 0.05


@dataclass(frozen=True)
class ColumnStatistics:
    """Statistics of a column in one version, over all splits.

    Attributes:
        values: number of values; a list of tokens or a series has several per row.
        quantiles: of numbers, 1, 50 and 99%, before scaling; where the raw column of the name has
            them its own, else about, from bins.
        missing, unknown: shares of ids; None where the column has no such ids.
        positive: share of positive rows, of a binary label.
    """

    values: int
    quantiles: tuple[float, ...]
    missing: float | None
    unknown: float | None
    positive: float | None = None

    @staticmethod
    def from_distribution(item: Distribution, label_kind: str) -> "ColumnStatistics":
        """Return the statistics of a column's counts."""
        if item.name == "label" and KINDS[label_kind].has_positive_share and item.value_count:
            positive = sum(counts[-1] for counts in item.counts.values())
            return ColumnStatistics(item.value_count, (), None, None, positive / item.value_count)
        estimates = (item.estimate_quantile(share) for share in _QUANTILES)
        quantiles = tuple(number for number in estimates if number is not None)
        return ColumnStatistics(item.value_count, quantiles, item.missing_share, item.unknown_share)


@dataclass(frozen=True)
class Comparison:
    """The differences of a second version from a first.

    Attributes:
        columns: dataset column -> its type in the first and in the second, None where it is absent;
            only columns that differ.
        rows: split -> rows in the first and in the second.
        files: number of data files of both, of the first only, and of the second only.
        partitions: "added", "removed" and "changed" source partitions.
        same_transform: whether both have the same transform.
        same_rows: whether both have the same rows in the same order, in whatever files.
        statistics: dataset column -> its statistics in the first and in the second.
        described: the statistics of the raw columns of the first and of the second; None where an
            older Headrace published it.
        raw_columns: the statistics of each raw column, and of the label, in the first and in the
            second, None where it is absent; empty unless both are described.
        drift: distances of columns whose bins are the same in both.
        other_bins: columns whose bins are not, because they were fitted on other rows.
    """

    columns: dict[str, tuple[str | None, str | None]]
    rows: dict[str, tuple[int, int]]
    files: tuple[int, int, int]
    partitions: dict[str, list[str]]
    same_transform: bool
    same_rows: bool
    statistics: dict[str, tuple["ColumnStatistics", "ColumnStatistics"]]
    described: tuple[DataStatistics | None, DataStatistics | None]
    raw_columns: tuple[tuple[ColumnSummary | None, ColumnSummary | None], ...]
    drift: tuple[ColumnDrift, ...]
    other_bins: tuple[str, ...]


def compare_versions(first: DatasetVersion, second: DatasetVersion) -> Comparison:
    """Compare two versions, of the same dataset or of two."""
    before = {d.name: d for d in first.profile.distributions}
    after = {d.name: d for d in second.profile.distributions}
    old_types, new_types = first.column_types, second.column_types
    columns = {
        name: (old_types.get(name), new_types.get(name))
        for name in [*old_types, *(n for n in new_types if n not in old_types)]
        if old_types.get(name) != new_types.get(name)
    }
    shared = [name for name in before if name in after]
    same_bins = [name for name in shared if _has_same_bins(before[name], after[name])]
    drift = [d for name in same_bins for d in _measure_drift(before[name], after[name])]
    drift += measure_missing_drift(
        _count_missing(first),
        _count_missing(second),
        _SHARE_LIMIT,
        find_with_missing({name: after[name].labels for name in same_bins}),
    )
    old_paths, new_paths = ({f.path for f in v.build.files} for v in (first, second))
    described = first.statistics, second.statistics
    return Comparison(
        columns=columns,
        rows={split: (first.count_rows(split), second.count_rows(split)) for split in SPLITS},
        files=(
            len(old_paths & new_paths),
            len(old_paths - new_paths),
            len(new_paths - old_paths),
        ),
        partitions=_compare_partitions(first.build.partitions, second.build.partitions),
        same_transform=first.build.transform_digest == second.build.transform_digest,
        same_rows=first.root == second.root and _list_row_paths(first) == _list_row_paths(second),
        statistics={
            name: (
                _summarize(before[name], first),
                _summarize(after[name], second),
            )
            for name in shared
        },
        described=described,
        raw_columns=_pair_columns(*described),
        drift=tuple(drift),
        other_bins=tuple(name for name in shared if name not in same_bins),
    )


def _summarize(item: Distribution, dataset: DatasetVersion) -> ColumnStatistics:
    """Summarize a dataset column, with the true quantiles where the raw column has them."""
    summary = ColumnStatistics.from_distribution(item, dataset.build.label_kind)
    described = dataset.statistics
    known = described.list_quantiles(item.name, _QUANTILES) if described is not None else ()
    return replace(summary, quantiles=known) if summary.quantiles and known else summary


def _pair_columns(
    first: DataStatistics | None, second: DataStatistics | None
) -> tuple[tuple[ColumnSummary | None, ColumnSummary | None], ...]:
    """Pair the raw columns of two versions by name, and their labels, which may have the name of a
    raw column."""
    if first is None or second is None:
        return ()
    old, new = ({(c.kind == LABEL_KIND, c.name): c for c in d.columns} for d in (first, second))
    keys = [*old, *(key for key in new if key not in old)]
    return tuple((old.get(key), new.get(key)) for key in keys)


def _count_missing(dataset: DatasetVersion) -> tuple[dict[str, int], int]:
    """Return in how many rows each raw column is missing, and the number of rows."""
    missing = {c.name: sum(c.missing.values()) for c in dataset.profile.columns}
    return missing, sum(dataset.count_rows(split) for split in SPLITS)


def _list_row_paths(dataset: DatasetVersion) -> list[tuple[str, int]]:
    """List where each run of rows was written first, in the canonical order; a file is never
    written twice, so equal paths are equal rows."""
    return [
        (run.path, run.rows)
        for split in SPLITS
        for file in dataset.list_files(split)
        for run in file.list_runs()
    ]


def _has_same_bins(first: Distribution, second: Distribution) -> bool:
    return (first.edges, first.labels) == (second.edges, second.labels)


def _measure_drift(first: Distribution, second: Distribution) -> list[ColumnDrift]:
    before, after = (np.array(list(d.counts.values())).sum(axis=0) for d in (first, second))
    name = first.name
    if first.kind == "numbers":
        measures = [measure_number_drift(name, before, after, _PSI_LIMIT)]
    else:
        measures = [measure_id_drift(name, before, after, _SHARE_LIMIT)]
    if first.unknown and second.unknown:
        reference = sum(first.unknown.values()), int(before.sum())
        current = sum(second.unknown.values()), int(after.sum())
        measures.append(measure_unknown_drift(name, reference, current, _UNKNOWN_LIMIT))
    return [drift for drift in measures if drift is not None]


def _compare_partitions(
    first: tuple[SourcePartition, ...], second: tuple[SourcePartition, ...]
) -> dict[str, list[str]]:
    old = {p.name: [f.identity for f in p.files] for p in first}
    new = {p.name: [f.identity for f in p.files] for p in second}
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and new[name] != old[name]],
    }
