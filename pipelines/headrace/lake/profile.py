"""What a dataset version's columns look like: counts and distributions a split, as plain values.

Made while the rows are written, so that it is of the published rows exactly; kept in the build's
sidecar, for the report, for people who compare versions, and for drift. A version that keeps files
of earlier builds adds up the tallies of its files.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawColumnProfile(_Frozen):
    """A raw column in the published rows."""

    name: str
    kind: str
    missing: dict[str, int]
    """Rows a split where it is missing."""


class Distribution(_Frozen):
    """How the values of a dataset column are distributed, a split beside the other."""

    name: str
    kind: Literal["numbers", "ids"]
    edges: tuple[float, ...] = ()
    """Of numbers: limits of the bins; the first and the last bin take what lies beyond."""
    labels: tuple[str, ...] = ()
    """Of ids: missing, unknown, the most frequent values, and other values."""
    counts: dict[str, tuple[int, ...]]
    """Split -> values in each bin, or with each label."""
    unknown: dict[str, int] = {}
    """Of ids of a vocabulary: split -> values that are not in it."""
    quantiles: tuple[float, ...] = ()
    """Of numbers: 0, 1, 5, 25, 50, 75, 95, 99 and 100% of the train rows that the transform was
    fitted on, before scaling."""

    @property
    def values(self) -> int:
        """Of all splits."""
        return sum(map(sum, self.counts.values()))

    def quantile(self, share: float) -> float | None:
        """About the value that this share of a number's values lies below, from the bins.

        All splits together, within the bins' limits; None where there are no values, or no bins.
        """
        if not self.edges or not self.values:
            return None
        below = np.cumsum([0, *np.sum(list(self.counts.values()), axis=0)]) / self.values
        return float(np.interp(share, below, self.edges))

    @property
    def unknown_share(self) -> float | None:
        """Of ids of a vocabulary; None of others, and where there are no values."""
        return sum(self.unknown.values()) / self.values if self.unknown and self.values else None

    @property
    def missing_share(self) -> float | None:
        """Of ids that have a place for missing values."""
        if not self.values or self.labels[:1] != ("missing",):
            return None
        return sum(counts[0] for counts in self.counts.values()) / self.values


class RuleCount(_Frozen):
    """A check and what it found."""

    name: str
    on_violation: str
    rows: int
    """Rows that violate it, whatever else they violate."""
    examples: tuple[str, ...]


TALLIES = "tallies.parquet"
_TALLY_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("name", pa.string()),
        ("counts", pa.list_(pa.int64())),
        ("unknown", pa.int64()),
    ]
)
_MISSING = "missing "


@dataclass(frozen=True)
class FileTally:
    """What is counted of one data file.

    Attributes:
        path: of the file, relative to the dataset's root.
        counts: dataset column -> rows in each bin or with each label, int64.
        unknown: dataset column -> values out of its vocabulary.
        missing: raw column -> rows where it is missing.
    """

    path: str
    counts: dict[str, np.ndarray]
    unknown: dict[str, int]
    missing: dict[str, int]

    @staticmethod
    def write_all(tallies: "Iterable[FileTally]") -> bytes:
        """As one Parquet file."""
        rows = [
            (t.path, name, counts.tolist(), t.unknown[name])
            for t in tallies
            for name, counts in t.counts.items()
        ]
        rows += [(t.path, f"{_MISSING}{n}", [], m) for t in tallies for n, m in t.missing.items()]
        columns = [
            pa.array([row[i] for row in rows], field.type) for i, field in enumerate(_TALLY_SCHEMA)
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_arrays(columns, schema=_TALLY_SCHEMA), sink)
        return bytes(sink.getvalue())

    @staticmethod
    def read_all(blob: bytes) -> "Iterator[FileTally]":
        """What `write_all` wrote."""
        by_path: dict[str, FileTally] = {}
        for row in pq.read_table(pa.BufferReader(blob)).to_pylist():
            tally = by_path.setdefault(row["path"], FileTally(row["path"], {}, {}, {}))
            if row["name"].startswith(_MISSING):
                tally.missing[row["name"].removeprefix(_MISSING)] = row["unknown"]
            else:
                tally.counts[row["name"]] = np.array(row["counts"], np.int64)
                tally.unknown[row["name"]] = row["unknown"]
        yield from by_path.values()


class Profile(_Frozen):
    """Columns and checks of a build or of a version."""

    columns: tuple[RawColumnProfile, ...]
    distributions: tuple[Distribution, ...]
    rules: tuple[RuleCount, ...]

    def of_files(
        self, tallies: list[tuple[str, FileTally]], rules: tuple[RuleCount, ...]
    ) -> "Profile":
        """The same columns, bins and labels with the counts of other files.

        Args:
            tallies: of every file, with its split.
            rules: that go with them.
        """
        columns = tuple(
            c.model_copy(
                update={
                    "missing": {
                        split: sum(t.missing.get(c.name, 0) for s, t in tallies if s == split)
                        for split in c.missing
                    }
                }
            )
            for c in self.columns
        )
        return Profile(
            columns=columns,
            distributions=tuple(_recounted(d, tallies) for d in self.distributions),
            rules=rules,
        )


def _recounted(item: Distribution, tallies: list[tuple[str, FileTally]]) -> Distribution:
    counts: dict[str, tuple[int, ...]] = {}
    unknown: dict[str, int] = {}
    for split, old in item.counts.items():
        total = np.zeros(len(old), np.int64)
        for s, tally in tallies:
            if s == split:
                total += tally.counts[item.name]
        counts[split] = tuple(total.tolist())
        if item.unknown:
            unknown[split] = sum(t.unknown[item.name] for s, t in tallies if s == split)
    return item.model_copy(update={"counts": counts, "unknown": unknown})
