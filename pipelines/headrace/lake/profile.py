"""Describe the columns of a dataset version: counts and distributions per split, as plain values.

The counts are taken while the rows are written, so that they describe exactly the published rows,
and stored in the build's sidecar, for the report, for comparing versions, and for drift. A version
that has files of earlier builds sums the tallies of its files. Counting is left to `prepare/`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from headrace.columns.histogram import MISSING_LABEL
from headrace.lake.damage import read_parquet


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawColumnProfile(_Frozen):
    """Missing values of a raw column in the published rows."""

    name: str
    kind: str
    missing: dict[str, int]
    """Split -> rows where it is missing."""


class Distribution(_Frozen):
    """The distribution of a dataset column's values in every split."""

    name: str
    kind: Literal["numbers", "ids"]
    edges: tuple[float, ...] = ()
    """Of numbers: edges of the bins; the first and the last bin take the values beyond."""
    labels: tuple[str, ...] = ()
    """Of ids: missing, unknown, the most frequent values, and all other values."""
    counts: dict[str, tuple[int, ...]]
    """Split -> number of values in each bin, or with each label."""
    unknown: dict[str, int] = {}
    """Of ids of a vocabulary: split -> number of values that are not in it."""
    quantiles: tuple[float, ...] = ()
    """Of numbers: 0, 1, 5, 25, 50, 75, 95, 99 and 100% of the train rows that the transform was
    fitted on, before scaling."""

    @property
    def value_count(self) -> int:
        """Return the number of values of all splits."""
        return sum(map(sum, self.counts.values()))

    def estimate_quantile(self, share: float) -> float | None:
        """Estimate a quantile of a number from its bins, over all splits.

        Args:
            share: from 0 to 1.

        Returns:
            The quantile, within the bins' limits; None where there are no values, or no bins.
        """
        if not self.edges or not self.value_count:
            return None
        below = np.cumsum([0, *np.sum(list(self.counts.values()), axis=0)]) / self.value_count
        return float(np.interp(share, below, self.edges))

    @property
    def unknown_share(self) -> float | None:
        """Return the share of values out of the vocabulary; None without one, or without values."""
        return (
            sum(self.unknown.values()) / self.value_count
            if self.unknown and self.value_count
            else None
        )

    @property
    def missing_share(self) -> float | None:
        """Return the share of missing values; None without an id for them, or without values."""
        if not self.value_count or self.labels[:1] != (MISSING_LABEL,):
            return None
        return sum(counts[0] for counts in self.counts.values()) / self.value_count


class RuleCount(_Frozen):
    """A check of the recipe, and the rows that violate it."""

    name: str
    on_violation: str
    rows: int
    """Rows that violate it, whether or not they violate others."""
    examples: tuple[str, ...]


VERSION_PROFILE_FILE = "version_profile.json"
"""Profile of all rows of a version, in the sidecar of a build that wrote some of them."""
TALLIES_FILE = "tallies.parquet"
"""File of a build's tallies, in its sidecar."""
_TALLY_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("name", pa.string()),
        ("counts", pa.list_(pa.int64())),
        ("unknown", pa.int64()),
    ]
)
_MISSING_PREFIX = "missing "  # of the name of a raw column whose missing rows are counted


@dataclass(frozen=True)
class FileTally:
    """The counts of one data file.

    Attributes:
        path: path of the file, relative to the dataset's root.
        counts: dataset column -> values in each bin or with each label, int64, shape (bins,).
        unknown: dataset column -> values out of its vocabulary.
        missing: raw column -> rows where it is missing.
    """

    path: str
    counts: dict[str, np.ndarray]
    unknown: dict[str, int]
    missing: dict[str, int]

    @staticmethod
    def write_tallies(tallies: "Sequence[FileTally]") -> bytes:
        """Write tallies as one Parquet file, and return its bytes."""
        rows = [
            (t.path, name, counts.tolist(), t.unknown[name])
            for t in tallies
            for name, counts in t.counts.items()
        ]
        rows += [
            (t.path, f"{_MISSING_PREFIX}{name}", [], missing)
            for t in tallies
            for name, missing in t.missing.items()
        ]
        columns = [
            pa.array([row[position] for row in rows], field.type)
            for position, field in enumerate(_TALLY_SCHEMA)
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.Table.from_arrays(columns, schema=_TALLY_SCHEMA), sink, write_page_checksum=True
        )
        return bytes(sink.getvalue())

    @staticmethod
    def read_tallies(blob: bytes) -> "Iterator[FileTally]":
        """Read the tallies that `write_tallies` wrote."""
        by_path: dict[str, FileTally] = {}
        for row in read_parquet(blob, TALLIES_FILE).to_pylist():
            tally = by_path.setdefault(row["path"], FileTally(row["path"], {}, {}, {}))
            if row["name"].startswith(_MISSING_PREFIX):
                tally.missing[row["name"].removeprefix(_MISSING_PREFIX)] = row["unknown"]
            else:
                tally.counts[row["name"]] = np.array(row["counts"], np.int64)
                tally.unknown[row["name"]] = row["unknown"]
        yield from by_path.values()


class Profile(_Frozen):
    """The columns and checks of a build or of a version."""

    columns: tuple[RawColumnProfile, ...]
    distributions: tuple[Distribution, ...]
    rules: tuple[RuleCount, ...]

    def sum_tallies(
        self, tallies: list[tuple[str, FileTally]], rules: tuple[RuleCount, ...]
    ) -> "Profile":
        """Return the same columns, bins and labels with the counts of other files.

        Args:
            tallies: split and tally of every file.
            rules: checks that belong to the files.
        """
        columns = tuple(
            column.model_copy(
                update={
                    "missing": {
                        split: sum(t.missing.get(column.name, 0) for s, t in tallies if s == split)
                        for split in column.missing
                    }
                }
            )
            for column in self.columns
        )
        return Profile(
            columns=columns,
            distributions=tuple(_sum_distribution(d, tallies) for d in self.distributions),
            rules=rules,
        )

    def add_counts(self, other: "Profile", sign: int = 1) -> "Profile":
        """Return the profile with the counts of another one of the same columns, bins and labels
        added, or taken away where `sign` is -1."""
        columns = (
            mine.model_copy(update={"missing": _add(mine.missing, its.missing, sign)})
            for mine, its in zip(self.columns, other.columns, strict=True)
        )
        distributions = (
            mine.model_copy(
                update={
                    "counts": {
                        split: tuple((np.array(n) + sign * np.array(its.counts[split])).tolist())
                        for split, n in mine.counts.items()
                    },
                    "unknown": _add(mine.unknown, its.unknown, sign),
                }
            )
            for mine, its in zip(self.distributions, other.distributions, strict=True)
        )
        return self.model_copy(
            update={"columns": tuple(columns), "distributions": tuple(distributions)}
        )


def _add(mine: dict[str, int], its: dict[str, int], sign: int) -> dict[str, int]:
    return {split: count + sign * its[split] for split, count in mine.items()}


def _sum_distribution(item: Distribution, tallies: list[tuple[str, FileTally]]) -> Distribution:
    counts: dict[str, tuple[int, ...]] = {}
    unknown: dict[str, int] = {}
    for split, old_counts in item.counts.items():
        total = np.zeros(len(old_counts), np.int64)
        for file_split, tally in tallies:
            if file_split == split:
                total += tally.counts[item.name]
        counts[split] = tuple(total.tolist())
        if item.unknown:
            unknown[split] = sum(t.unknown[item.name] for s, t in tallies if s == split)
    return item.model_copy(update={"counts": counts, "unknown": unknown})
