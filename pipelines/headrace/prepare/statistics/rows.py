"""Bring together what is known of the rows of a version: those of its build, and those of its base
that stay.

Totals of the base are added, those of files that are gone taken away; sampled rows say which file
they are in. So it costs what changed and one sample, whatever the history.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from headrace.columns.exact_sum import ExactSum
from headrace.columns.values import RawKind
from headrace.errors import DamagedError, RemovedError
from headrace.labels.spec import LabelSpec
from headrace.lake.build import Build
from headrace.lake.column_totals import (
    TOTALS_FILE,
    ColumnTotals,
    limit_from_text,
    limit_to_text,
    read_totals,
)
from headrace.lake.damage import explain_damage
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import (
    LABEL_KIND,
    ColumnSummary,
    DataStatistics,
    StoredTotals,
)
from headrace.lake.profile import Profile
from headrace.lake.row_sample import RowSample, choose_sample_rows, choose_threshold
from headrace.lake.sidecar import ROW_SAMPLE_FILE, read_sidecar_bytes
from headrace.lake.version import DatasetVersion
from headrace.prepare.write.task_statistics import (
    LABEL_NUMBER,
    SampleOptions,
    Totals,
    name_raw,
)

_NUMBER_OF_SPLIT: dict[str, int] = {split: number for number, split in enumerate(SPLITS)}


@dataclass(frozen=True)
class DescribedRows:
    """The rows that statistics describe.

    Attributes:
        rows: split -> rows.
        missing: raw column -> split -> rows where it is missing.
        totals: split -> totals of columns, by their names in samples.
        sample: of the rows.
        uncertain: columns whose limits may lie beyond those of their values.
    """

    rows: Mapping[str, int]
    missing: Mapping[str, Mapping[str, int]]
    totals: Mapping[str, Totals]
    sample: RowSample
    uncertain: frozenset[str] = frozenset()

    @staticmethod
    def of_build(
        rows: Mapping[str, int],
        profile: Profile,
        totals: Mapping[str, Totals],
        sample: RowSample,
    ) -> "DescribedRows":
        """Return the rows that a build wrote.

        Args:
            rows: split -> rows.
            profile: of them.
            totals, sample: as its tasks collected them.
        """
        return DescribedRows(
            rows, _list_missing(profile), totals, sample.limit_rows(_count_most(sample))
        )


def choose_sample(raw: Mapping[str, RawKind], label: LabelSpec, rows: int) -> SampleOptions:
    """Choose what tasks collect.

    Args:
        raw: raw column -> kind.
        label: the label of the dataset.
        rows: that are written.
    """
    kinds: dict[str, RawKind] = {name: kind for name, kind in raw.items() if kind != "bytes"}
    wanted = choose_sample_rows(len(kinds) + 2)
    return SampleOptions(
        threshold=choose_threshold(wanted, rows),
        kinds=kinds,
        label_is_scalar=not label.array[1],
        label_is_number=not label.definition.has_text_values,
    )


def _count_most(sample: RowSample) -> int:
    return choose_sample_rows(len(sample.columns))


def _list_missing(profile: Profile) -> dict[str, dict[str, int]]:
    return {column.name: dict(column.missing) for column in profile.columns}


def add_base(
    base: DatasetVersion, build: Build, own: DescribedRows, profile: Profile
) -> DescribedRows | None:
    """Return all rows of a version.

    Args:
        base: version whose files the build takes over, or some of them.
        build: of the version.
        own: the rows that it wrote.
        profile: of all rows of the version.

    Returns:
        None where it cannot be told: rows of the base were written by an older Headrace, or what it
        left was removed.
    """
    split_by_path = build.map_runs_to_splits()
    try:
        before = base.statistics
        if before is None or before.scope != "version":
            return None
        sample = read_row_sample(base)
        gone = _sum_gone(base, set(split_by_path))
    except (RemovedError, DamagedError):
        return None
    if [*sample.columns] != [*own.sample.columns] and own.sample.rows:
        return None
    sample = sample.select_files(split_by_path)
    totals, uncertain = _subtract_totals(restore_totals(before), gone, sample)
    merged = RowSample.merge([sample, own.sample])
    return DescribedRows(
        rows=build.ledger.published,
        missing=_list_missing(profile),
        totals=_add_up([totals, own.totals]),
        sample=merged.limit_rows(_count_most(merged)),
        uncertain=uncertain | {_name_in_samples(c) for c in before.columns if not c.is_limit_exact},
    )


def read_row_sample(dataset: DatasetVersion) -> RowSample:
    """Read the sample of a version's rows.

    Raises:
        RemovedError: it has none, or it was removed.
        DamagedError: it is damaged.
    """
    blob = read_sidecar_bytes(dataset.root, dataset.build.build_id, ROW_SAMPLE_FILE)
    where = f"dataset {dataset.root}: {ROW_SAMPLE_FILE} of build {dataset.build.build_id}"
    with explain_damage(where):
        return RowSample.from_bytes(blob, where)


def store_totals(totals: Mapping[str, Totals], name: str) -> dict[str, StoredTotals]:
    """Return the totals of a column as they are stored: split -> totals."""
    return {
        split: StoredTotals(
            values=own.values,
            zeros=own.zeros,
            sum=own.sum.to_text(),
            low=limit_to_text(own.low),
            high=limit_to_text(own.high),
        )
        for split in SPLITS
        if (own := totals.get(split, {}).get(name)) is not None
    }


def restore_totals(statistics: DataStatistics) -> dict[str, Totals]:
    """Return the totals that a version stored: split -> column -> totals."""
    totals: dict[str, Totals] = {}
    for column in statistics.columns:
        for split, own in column.totals.items():
            totals.setdefault(split, {})[_name_in_samples(column)] = ColumnTotals(
                own.values, own.zeros, ExactSum.from_text(own.sum),
                limit_from_text(own.low), limit_from_text(own.high),
            )  # fmt: skip
    return totals


def _name_in_samples(column: ColumnSummary) -> str:
    return LABEL_NUMBER if column.kind == LABEL_KIND else name_raw(column.name)


def _sum_gone(base: DatasetVersion, stay: set[str]) -> dict[str, Totals]:
    """Add up the totals of the base's files that do not stay, by split."""
    gone = [
        (file.split, run)
        for file in base.build.files
        for run in file.list_runs()
        if run.path not in stay
    ]
    split_by_path = {run.path: split for split, run in gone}
    partitions = {run.partition for _, run in gone}
    builds = sorted({p.build_id for p in base.build.partitions if p.name in partitions})
    sums: dict[str, Totals] = {}
    for build_id in builds:
        blob = read_sidecar_bytes(base.root, build_id, TOTALS_FILE)
        with explain_damage(f"dataset {base.root}: {TOTALS_FILE} of build {build_id}"):
            for path, name, totals in read_totals(blob):
                if path in split_by_path:
                    own = sums.setdefault(split_by_path[path], {})
                    own[name] = own.get(name, ColumnTotals()) + totals
    return sums


def _add_up(parts: Iterable[Mapping[str, Totals]]) -> dict[str, Totals]:
    sums: dict[str, Totals] = {}
    for totals in parts:
        for split, columns in totals.items():
            own = sums.setdefault(split, {})
            for name, one in columns.items():
                own[name] = own.get(name, ColumnTotals()) + one
    return sums


def _subtract_totals(
    totals: Mapping[str, Totals], gone: Mapping[str, Totals], sample: RowSample
) -> tuple[dict[str, Totals], frozenset[str]]:
    """Take totals away, and name the columns whose limits are those of the sample since."""
    rest: dict[str, Totals] = {split: dict(columns) for split, columns in totals.items()}
    uncertain = set()
    for split, columns in gone.items():
        for name, one in columns.items():
            left, is_exact = rest[split][name].subtract(one)
            if not is_exact:
                uncertain.add(name)
                left = _limit_by_sample(left, sample, name, split)
            rest[split][name] = left
    return rest, frozenset(uncertain)


def _limit_by_sample(
    totals: ColumnTotals, sample: RowSample, name: str, split: str
) -> ColumnTotals:
    numbers = sample.columns[name][sample.splits == _NUMBER_OF_SPLIT[split]]
    numbers = select_numbers(numbers)
    if not len(numbers):
        mean = totals.sum.compute_mean(totals.values)
        return replace(totals, low=mean, high=mean)
    return replace(totals, low=numbers.min().item(), high=numbers.max().item())


def select_numbers(values: np.ndarray) -> np.ndarray:
    """Return the numbers of a sample's column that are not missing, in their type."""
    if values.dtype == np.float64:
        return values[~np.isnan(values)]
    return values[values != np.iinfo(np.int64).min]
