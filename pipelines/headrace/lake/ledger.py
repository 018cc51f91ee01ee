"""Account for every row of a build: each row that was read must be in exactly one bucket.

Where the buckets do not add up, nothing is published. Counting is left to `prepare/`.
"""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from headrace.errors import LedgerError


class Ledger(BaseModel):
    """Row accounting of one build.

    `read` is counted at the source, `published` in the written files and the rest in between, each
    independently, so that a join that multiplies rows or a task that loses some cannot balance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    read: int
    published: dict[str, int]
    """Split -> rows."""
    quarantined: dict[str, int]
    """Rule -> rows."""
    duplicates: int
    filtered: dict[str, int]
    """Reason -> rows."""

    @property
    def accounted_rows(self) -> int:
        """Return the rows of all buckets together."""
        return (
            sum(self.published.values())
            + sum(self.quarantined.values())
            + self.duplicates
            + sum(self.filtered.values())
        )

    @staticmethod
    def merge_ledgers(ledgers: "Iterable[Ledger]") -> "Ledger":
        """Return the sum of ledgers, bucket by bucket; buckets in the order of first appearance."""
        read = duplicates = 0
        published: Counter[str] = Counter()
        quarantined: Counter[str] = Counter()
        filtered: Counter[str] = Counter()
        for ledger in ledgers:
            read, duplicates = read + ledger.read, duplicates + ledger.duplicates
            published.update(ledger.published)
            quarantined.update(ledger.quarantined)
            filtered.update(ledger.filtered)
        return Ledger(
            read=read,
            published=dict(published),
            quarantined=dict(quarantined),
            duplicates=duplicates,
            filtered=dict(filtered),
        )

    def check_balance(self) -> None:
        """Check that the rows read equal the rows accounted for.

        Raises:
            LedgerError: they differ.
        """
        if self.read != self.accounted_rows:
            raise LedgerError(
                f"the ledger does not add up: {self.read:,} rows read, {self.accounted_rows:,} "
                f"accounted for (difference {self.accounted_rows - self.read:+,}): "
                f"{'; '.join(self.describe_buckets())}. "
                "Nothing was published. A source that changed during the build, or a join that "
                "matched several rows, does this; run the build again, then look at the joins"
            )

    def describe_buckets(self) -> list[str]:
        """Return the ledger as text, one line per bucket."""
        lines = [f"read {self.read:,}"]
        lines += [f"published {split} {rows:,}" for split, rows in self.published.items()]
        lines += [f"quarantined ({rule}) {rows:,}" for rule, rows in self.quarantined.items()]
        lines += [f"duplicates {self.duplicates:,}"]
        lines += [f"filtered ({reason}) {rows:,}" for reason, rows in self.filtered.items()]
        return lines
