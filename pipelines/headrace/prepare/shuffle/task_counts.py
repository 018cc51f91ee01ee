"""What tasks count beside the statistics: rows a bucket, violations a check, nulls a column."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_EXAMPLES = 5


@dataclass
class Counts:
    """Counts of some rows; they add up.

    Attributes:
        buckets: (source partition, position in `Buckets.names`) -> rows; of the splits, what is
            left without duplicates.
        duplicates: source partition -> rows that lost against another of their key.
        crossings: (source partition, source partition) -> rows of the first that lost against rows
            of the second.
        contacts: names of kept source partitions -> rows read that have the key of a row there.
        violations: rows by position of the check, whatever bucket they went to.
        examples: what was wrong, for up to five rows a check.
        nulls: (raw column, split) -> missing values in published rows.
    """

    buckets: Counter[tuple[int, int]] = field(default_factory=Counter)
    duplicates: Counter[int] = field(default_factory=Counter)
    crossings: Counter[tuple[str, str]] = field(default_factory=Counter)
    contacts: Counter[str] = field(default_factory=Counter)
    violations: Counter[int] = field(default_factory=Counter)
    examples: dict[int, list[str]] = field(default_factory=dict)
    nulls: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, other: "Counts") -> None:
        self.buckets += other.buckets
        self.duplicates += other.duplicates
        self.crossings += other.crossings
        self.contacts += other.contacts
        self.violations += other.violations
        self.nulls += other.nulls
        for check, texts in other.examples.items():
            self.keep_examples(check, texts)

    def keep_examples(self, check: int, texts: list[str]) -> None:
        """Keep the first five in the order of texts, so that the same five are shown each time."""
        known = {*self.examples.get(check, []), *texts}
        self.examples[check] = sorted(known)[:_EXAMPLES]

    def to_bytes(self) -> bytes:
        plain = {
            "buckets": [[*key, count] for key, count in sorted(self.buckets.items())],
            "duplicates": sorted(self.duplicates.items()),
            "crossings": [[*key, count] for key, count in sorted(self.crossings.items())],
            "contacts": sorted(self.contacts.items()),
            "violations": sorted(self.violations.items()),
            "examples": sorted(self.examples.items()),
            "nulls": [[*key, count] for key, count in sorted(self.nulls.items())],
        }
        return json.dumps(plain).encode()

    @staticmethod
    def from_bytes(blob: bytes) -> "Counts":
        plain = json.loads(blob)
        return Counts(
            _pairs(plain["buckets"]),
            Counter(dict(plain["duplicates"])),
            _pairs(plain["crossings"]),
            Counter(dict(plain["contacts"])),
            Counter(dict(plain["violations"])),
            dict(plain["examples"]),
            _pairs(plain["nulls"]),
        )

    def in_bucket(self, position: int) -> int:
        """Rows of all source partitions."""
        return sum(rows for (_, bucket), rows in self.buckets.items() if bucket == position)


def _pairs(rows: list[list[Any]]) -> "Counter[Any]":
    return Counter({(one, other): count for one, other, count in rows})


def pairs_of(one: np.ndarray, other: np.ndarray) -> "Counter[tuple[int, int]]":
    """How often each pair of values, none negative, occurs."""
    if not len(one):
        return Counter()
    width = int(other.max()) + 1
    found = np.bincount(one.astype(np.int64) * width + other)
    return Counter({divmod(i, width): int(found[i]) for i in np.flatnonzero(found).tolist()})
