"""What a scoring job records: its ledger, the files of predictions, which model made which."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from headrace.errors import LedgerError
from headrace.formats import PREDICTIONS
from headrace.lake.drift import ColumnDrift
from headrace.lake.source_partition import SourceFile


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScoreLedger(_Frozen):
    """Row accounting: every row that was read was scored, quarantined or filtered."""

    read: int
    scored: int
    quarantined: dict[str, int]
    """Rows a check."""
    filtered: int
    """Rows that the table's `where` leaves out."""

    @property
    def accounted(self) -> int:
        return self.scored + sum(self.quarantined.values()) + self.filtered

    @staticmethod
    def total(ledgers: "Iterable[ScoreLedger]") -> "ScoreLedger":
        found = list(ledgers)
        quarantined: Counter[str] = Counter()
        for ledger in found:
            quarantined.update(ledger.quarantined)
        return ScoreLedger(
            read=sum(item.read for item in found),
            scored=sum(item.scored for item in found),
            quarantined=dict(quarantined),
            filtered=sum(item.filtered for item in found),
        )

    def check(self, where: str) -> None:
        """
        Raises:
            LedgerError: rows are missing, or there are more than were read.
        """
        if self.read != self.accounted:
            raise LedgerError(
                f"the ledger of {where} does not add up: {self.read:,} rows read, "
                f"{self.accounted:,} accounted for ({self.model_dump()}). Nothing was published. A "
                "source that changed while it was read does this; run the command again"
            )


class PredictionFile(_Frozen):
    """One Parquet file of predictions."""

    path: str
    """Relative to the table's root."""
    partition: str
    """The source partition that its rows are from."""
    source: str = ""
    """The table that it is of."""
    values: dict[str, str | None]
    """Of the partition columns."""
    rows: int
    bytes: int


class ScoredPartition(_Frozen):
    """A source partition whose rows have predictions."""

    source: str
    """The table that it is of."""
    name: str
    build_id: str
    """The job that scored it last."""
    model: str
    """`models:/name/version` that did."""
    files: tuple[SourceFile, ...]
    ledger: ScoreLedger


class ScoreRecord(_Frozen):
    """What one scoring job left beside the predictions."""

    format_version: int = PREDICTIONS.current
    build_id: str
    created_at: str
    headrace_version: str
    recipe: dict[str, Any]
    """Resolved, secrets masked."""
    source: str
    """The table that was scored."""
    model: str
    run_id: str
    dataset: dict[str, Any]
    """Root, version and digest of what the model was trained on."""
    threshold: float | None
    columns: dict[str, str]
    """Columns of the table and their types, in order."""
    partition_by: tuple[str, ...]
    partitions: tuple[ScoredPartition, ...]
    files: tuple[PredictionFile, ...]
    """Of the version, those of earlier jobs included."""
    drift: tuple[ColumnDrift, ...] = ()
    """Of the rows that this job scored, beside those of training."""
    rules_left_out: tuple[str, ...] = ()
    """Rules of the recipe about columns that the table does not have, or many rows."""
    quarantine: str | None = None
    """Folder of this job's quarantined rows, relative to the root; None where there are none."""
    base: int | None = None
    given_id: str | None = None

    @property
    def ledger(self) -> ScoreLedger:
        """Of all rows that have predictions in this version."""
        return ScoreLedger.total(p.ledger for p in self.partitions)

    @property
    def processed(self) -> ScoreLedger:
        """Of the rows that this job read."""
        return ScoreLedger.total(p.ledger for p in self.partitions if p.build_id == self.build_id)
