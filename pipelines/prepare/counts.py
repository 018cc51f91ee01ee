"""What tasks count beside the statistics: rows a bucket, violations a check, nulls a column."""

import json
from collections import Counter
from dataclasses import dataclass, field

_EXAMPLES = 5


@dataclass
class Counts:
    """Counts of some rows; they add up.

    Attributes:
        buckets: rows by position in `Buckets.names`; of the splits, what is left without
            duplicates.
        duplicates: rows that lost against another of their key.
        violations: rows by position of the check, whatever bucket they went to.
        examples: what was wrong, for up to five rows a check.
        nulls: (raw column, split) -> missing values in published rows.
    """

    buckets: Counter[int] = field(default_factory=Counter)
    duplicates: int = 0
    violations: Counter[int] = field(default_factory=Counter)
    examples: dict[int, list[str]] = field(default_factory=dict)
    nulls: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, other: "Counts") -> None:
        self.buckets += other.buckets
        self.duplicates += other.duplicates
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
            "buckets": sorted(self.buckets.items()),
            "duplicates": self.duplicates,
            "violations": sorted(self.violations.items()),
            "examples": sorted(self.examples.items()),
            "nulls": [[*key, count] for key, count in sorted(self.nulls.items())],
        }
        return json.dumps(plain).encode()

    @staticmethod
    def from_bytes(blob: bytes) -> "Counts":
        plain = json.loads(blob)
        return Counts(
            Counter(dict(plain["buckets"])),
            plain["duplicates"],
            Counter(dict(plain["violations"])),
            dict(plain["examples"]),
            Counter({(name, split): count for name, split, count in plain["nulls"]}),
        )
