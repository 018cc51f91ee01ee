"""The ledger: every row that was read ended up in exactly one bucket, or nothing is published."""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from headrace.errors import LedgerError


class Ledger(BaseModel):
    """Row accounting of one build.

    `read` is counted at the source, `published` at the written files and the rest in between, each
    on its own, so that a join that multiplies rows or a task that loses some cannot balance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    read: int
    published: dict[str, int]
    """Rows a split."""
    quarantined: dict[str, int]
    """Rows a rule."""
    duplicates: int
    filtered: dict[str, int]
    """Rows a reason."""

    @property
    def accounted(self) -> int:
        """Rows found in some bucket."""
        return (
            sum(self.published.values())
            + sum(self.quarantined.values())
            + self.duplicates
            + sum(self.filtered.values())
        )

    @staticmethod
    def total(ledgers: "Iterable[Ledger]") -> "Ledger":
        """The buckets of all of them added up, in the order in which they turn up."""
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

    def check(self) -> None:
        """Compare what was read with what was accounted for.

        Raises:
            LedgerError: they differ.
        """
        if self.read != self.accounted:
            raise LedgerError(
                f"the ledger does not add up: {self.read:,} rows read, {self.accounted:,} "
                f"accounted for (difference {self.accounted - self.read:+,}): "
                f"{'; '.join(self.lines())}. "
                "Nothing was published. A source that changed during the build, or a join that "
                "matched several rows, does this; run the build again, then look at the joins"
            )

    def lines(self) -> list[str]:
        """The ledger for people, a bucket a line."""
        lines = [f"read {self.read:,}"]
        lines += [f"published {split} {rows:,}" for split, rows in self.published.items()]
        lines += [f"quarantined ({rule}) {rows:,}" for rule, rows in self.quarantined.items()]
        lines += [f"duplicates {self.duplicates:,}"]
        lines += [f"filtered ({reason}) {rows:,}" for reason, rows in self.filtered.items()]
        return lines
