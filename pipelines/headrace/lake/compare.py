"""What is different between two versions of a dataset."""

from dataclasses import dataclass

import numpy as np

from headrace.lake.data_file import SPLITS
from headrace.lake.drift import ColumnDrift, id_drift, number_drift, unknown_drift
from headrace.lake.profile import Distribution
from headrace.lake.source_partition import SourcePartition
from headrace.lake.version import DatasetVersion

# Limits of what is called a change, those of a recipe that says nothing.
_PSI, _DISTANCE, _UNKNOWN = 0.2, 0.1, 0.05


@dataclass(frozen=True)
class ColumnStatistics:
    """A column in one version, all splits together.

    Attributes:
        values: how many; a list of tokens or a series has several a row.
        quantiles: of numbers, about 1, 50 and 99%, before scaling.
        missing, unknown: shares of ids; None where the column has no such ids.
        positive: share of true ones, of a label that is a condition.
    """

    values: int
    quantiles: tuple[float, ...]
    missing: float | None
    unknown: float | None
    positive: float | None = None

    @staticmethod
    def of(item: Distribution, label_kind: str) -> "ColumnStatistics":
        if item.name == "label" and label_kind == "binary" and item.values:
            true = sum(counts[-1] for counts in item.counts.values())
            return ColumnStatistics(item.values, (), None, None, true / item.values)
        quantiles = (item.quantile(q) for q in (0.01, 0.5, 0.99))
        known = tuple(q for q in quantiles if q is not None)
        return ColumnStatistics(item.values, known, item.missing_share, item.unknown_share)


@dataclass(frozen=True)
class Comparison:
    """The second version, seen from the first.

    Attributes:
        columns: dataset column -> its type in the first and in the second, None where it is not
            there; of columns that differ.
        rows: split -> rows in the first and in the second.
        files: data files that both have, that only the first has, and that only the second has.
        partitions: "added", "removed" and "changed" source partitions.
        same_transform: whether one transform made both.
        statistics: column -> what is known of its values in the first and in the second.
        drift: distances of columns that are counted alike in both.
        other_bins: columns that are not, because they were fitted on other rows.
    """

    columns: dict[str, tuple[str | None, str | None]]
    rows: dict[str, tuple[int, int]]
    files: tuple[int, int, int]
    partitions: dict[str, list[str]]
    same_transform: bool
    statistics: dict[str, tuple["ColumnStatistics", "ColumnStatistics"]]
    drift: tuple[ColumnDrift, ...]
    other_bins: tuple[str, ...]


def compare(one: DatasetVersion, other: DatasetVersion) -> Comparison:
    """Compare two versions of a dataset, or of two."""
    before = {d.name: d for d in one.profile.distributions}
    now = {d.name: d for d in other.profile.distributions}
    types, new_types = one.column_types, other.column_types
    columns = {
        name: (types.get(name), new_types.get(name))
        for name in [*types, *(n for n in new_types if n not in types)]
        if types.get(name) != new_types.get(name)
    }
    shared = [name for name in before if name in now]
    alike = [name for name in shared if _alike(before[name], now[name])]
    drift = [d for name in alike for d in _distances(before[name], now[name])]
    paths, others = ({f.path for f in v.build.files} for v in (one, other))
    return Comparison(
        columns=columns,
        rows={split: (one.rows(split), other.rows(split)) for split in SPLITS},
        files=(len(paths & others), len(paths - others), len(others - paths)),
        partitions=_partitions(one.build.partitions, other.build.partitions),
        same_transform=one.build.transform_digest == other.build.transform_digest,
        statistics={
            name: (
                ColumnStatistics.of(before[name], one.build.label_kind),
                ColumnStatistics.of(now[name], other.build.label_kind),
            )
            for name in shared
        },
        drift=tuple(drift),
        other_bins=tuple(name for name in shared if name not in alike),
    )


def _alike(one: Distribution, other: Distribution) -> bool:
    return (one.edges, one.labels) == (other.edges, other.labels)


def _distances(one: Distribution, other: Distribution) -> list[ColumnDrift]:
    before, now = (np.array(list(d.counts.values())).sum(axis=0) for d in (one, other))
    if one.kind == "numbers":
        found = [number_drift(one.name, before, now, _PSI)]
    else:
        found = [id_drift(one.name, before, now, _DISTANCE)]
    if one.unknown and other.unknown:
        first, second = (sum(d.unknown.values()) for d in (one, other))
        shares = (first, int(before.sum())), (second, int(now.sum()))
        found.append(unknown_drift(one.name, shares[0], shares[1], _UNKNOWN))
    return [d for d in found if d is not None]


def _partitions(
    before: tuple[SourcePartition, ...], now: tuple[SourcePartition, ...]
) -> dict[str, list[str]]:
    old = {p.name: [f.identity for f in p.files] for p in before}
    new = {p.name: [f.identity for f in p.files] for p in now}
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and new[name] != old[name]],
    }
