"""Count what tasks report beside statistics: rows in buckets, violations, missing values."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EXAMPLES = 5
_COUNTERS = (
    "published", "buckets", "duplicates", "cross_duplicates", "shared_keys", "violations", "nulls",
)  # fmt: skip


@dataclass
class TaskCounts:
    """Counts of some rows; they add up.

    Attributes:
        published: position in SPLITS -> rows that are published, duplicates not among them. By
            source partition they are counted in the files that are written: every task that brings
            keys together has rows of all partitions.
        buckets: (source partition, position in `Buckets.names`) -> rows that are not published;
            duplicates are in none.
        duplicates: source partition -> rows that lost against another of their key.
        cross_duplicates: (source partition, source partition) -> rows of the first that lost
            against rows of the second; of a key several that a task folded count as one.
        shared_keys: retained source partition -> rows that were read and have the key of a row
            there.
        violations: rows by position of the check, whatever bucket they went to.
        examples: check -> what was wrong with up to five rows.
        nulls: (raw column, split) -> missing values in published rows.
    """

    published: Counter[int] = field(default_factory=Counter)
    buckets: Counter[tuple[int, int]] = field(default_factory=Counter)
    duplicates: Counter[int] = field(default_factory=Counter)
    cross_duplicates: Counter[tuple[str, str]] = field(default_factory=Counter)
    shared_keys: Counter[str] = field(default_factory=Counter)
    violations: Counter[int] = field(default_factory=Counter)
    examples: dict[int, list[str]] = field(default_factory=dict)
    nulls: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add_counts(self, other: "TaskCounts") -> None:
        """Add the counts of other rows."""
        for name in _COUNTERS:  # `+=` would go through all that is counted so far, every time
            getattr(self, name).update(getattr(other, name))
        for check, texts in other.examples.items():
            self.add_examples(check, texts)

    def add_examples(self, check: int, texts: list[str]) -> None:
        """Add examples; the first five in the order of texts stay, the same every time."""
        examples = {*self.examples.get(check, []), *texts}
        self.examples[check] = sorted(examples)[:_EXAMPLES]

    def to_bytes(self) -> bytes:
        """Return the counts as JSON, the same for the same counts."""
        plain = {
            "published": sorted(self.published.items()),
            "buckets": [[*key, count] for key, count in sorted(self.buckets.items())],
            "duplicates": sorted(self.duplicates.items()),
            "cross_duplicates": [
                [*key, count] for key, count in sorted(self.cross_duplicates.items())
            ],
            "shared_keys": sorted(self.shared_keys.items()),
            "violations": sorted(self.violations.items()),
            "examples": sorted(self.examples.items()),
            "nulls": [[*key, count] for key, count in sorted(self.nulls.items())],
        }
        return json.dumps(plain).encode()

    @staticmethod
    def from_bytes(blob: bytes) -> "TaskCounts":
        """Return the counts that `to_bytes` wrote."""
        plain = json.loads(blob)
        return TaskCounts(
            Counter(dict(plain["published"])),
            _to_counter(plain["buckets"]),
            Counter(dict(plain["duplicates"])),
            _to_counter(plain["cross_duplicates"]),
            Counter(dict(plain["shared_keys"])),
            Counter(dict(plain["violations"])),
            dict(plain["examples"]),
            _to_counter(plain["nulls"]),
        )

    def sum_buckets(self) -> "Counter[int]":
        """Return the rows of every bucket by its position, in all source partitions."""
        rows = Counter(self.published)
        for (_, bucket), count in self.buckets.items():
            rows[bucket] += count
        return rows


def _to_counter(rows: list[list[Any]]) -> "Counter[Any]":
    return Counter({(first, second): count for first, second, count in rows})


def count_pairs(first: np.ndarray, second: np.ndarray) -> "Counter[tuple[int, int]]":
    """Count how often each pair of values occurs, none of them negative."""
    if not len(first):
        return Counter()
    width = int(second.max()) + 1
    counts = np.bincount(first.astype(np.int64) * width + second)
    return Counter({divmod(i, width): int(counts[i]) for i in np.flatnonzero(counts).tolist()})


def count_values(values: np.ndarray) -> "Counter[int]":
    """Count how often each integer occurs."""
    distinct, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))


def find_missing(column: pa.ChunkedArray) -> np.ndarray:
    """Find the missing values of a raw column: nulls, NaN and infinities; bool of shape (rows,)."""
    missing = pc.is_null(column).to_numpy()
    if pa.types.is_floating(column.type):
        finite = pc.fill_null(pc.is_finite(column), False).to_numpy()
        return np.asarray(missing | ~finite)
    return np.asarray(missing)
