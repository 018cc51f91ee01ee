"""Describe what a scoring job records: its ledger, its files, which model scored which rows.

Writing and reading the record is left to `predictions.py`.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from headrace.errors import LedgerError
from headrace.formats import PREDICTIONS
from headrace.lake.drift import ColumnDrift
from headrace.lake.file_columns import FileColumns
from headrace.lake.record_lists import (
    StoredLists,
    is_stored,
    list_of_file_columns,
    list_of_models,
    load_list,
)
from headrace.lake.safe_path import BuildId, RelativePath
from headrace.lake.snapshot import Snapshot
from headrace.lake.source_partition import SourceFile


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScoreLedger(_Frozen):
    """Row accounting: every row that was read was scored, quarantined or filtered out."""

    read: int
    scored: int
    quarantined: dict[str, int]
    """Check -> rows."""
    filtered: int
    """Rows that the table's `where` leaves out."""
    erased: int = 0
    """Rows of persons whose predictions were erased."""

    @property
    def accounted_rows(self) -> int:
        """Return the rows of all buckets together."""
        return self.scored + sum(self.quarantined.values()) + self.filtered + self.erased

    @staticmethod
    def merge_ledgers(ledgers: "Iterable[ScoreLedger]") -> "ScoreLedger":
        """Return the sum of ledgers, bucket by bucket."""
        parts = list(ledgers)
        quarantined: Counter[str] = Counter()
        for part in parts:
            quarantined.update(part.quarantined)
        return ScoreLedger(
            read=sum(part.read for part in parts),
            scored=sum(part.scored for part in parts),
            quarantined=dict(quarantined),
            filtered=sum(part.filtered for part in parts),
            erased=sum(part.erased for part in parts),
        )

    def check_balance(self, where: str) -> None:
        """Check that the rows read equal the rows accounted for.

        Args:
            where: what the ledger is of, in messages.

        Raises:
            LedgerError: they differ.
        """
        if self.read != self.accounted_rows:
            raise LedgerError(
                f"the ledger of {where} does not add up: {self.read:,} rows read, "
                f"{self.accounted_rows:,} accounted for ({self.model_dump()}). Nothing was "
                "published. A source that changed while it was read does this; run the command "
                "again"
            )


class PredictionFile(_Frozen):
    """One Parquet file of predictions."""

    path: RelativePath
    """Path relative to the table's root."""
    partition: str
    """Source partition that its rows are from."""
    source: str = ""
    """Source table that its rows are from."""
    values: dict[str, str | None]
    """Partition column -> value of the file's rows."""
    rows: int
    bytes: int


class ScoredPartition(_Frozen):
    """A source partition whose rows have predictions."""

    source: str
    """Source table that it is part of."""
    name: str
    build_id: BuildId
    """Job that scored it last."""
    model: str
    """Model version that scored it last, as `models:/name/version`."""
    files: tuple[SourceFile, ...]
    ledger: ScoreLedger


LISTS = (
    list_of_models("files", "files", PredictionFile, "path"),
    list_of_models("partitions", "source", ScoredPartition, "source", "name"),
    list_of_file_columns("source"),
)
"""The lists of a record."""
LIST_NAMES = tuple(kind.name for kind in LISTS)


class ScoreLists(StoredLists):
    """Where the lists of a record are, and what is asked of them most often."""

    ledger: ScoreLedger
    processed: ScoreLedger


class ScoreRecord(_Frozen):
    """The record that a scoring job leaves beside the predictions."""

    format_version: int = PREDICTIONS.current
    build_id: BuildId
    created_at: str
    headrace_version: str
    recipe: dict[str, Any]
    """Resolved, secrets masked."""
    source: str
    """Name of the source table that was scored."""
    model: str
    run_id: str
    dataset: dict[str, Any]
    """Root, version and digest of the dataset that the model was trained on."""
    threshold: float | None
    columns: dict[str, str]
    """Column of the table -> its type, in order."""
    partition_by: tuple[str, ...]
    partitions: tuple[ScoredPartition, ...] = ()
    files: tuple[PredictionFile, ...] = ()
    """Files of the version, those of earlier jobs included."""
    drift: tuple[ColumnDrift, ...] = ()
    """Drift of the rows that this job scored from those of training."""
    rules_left_out: tuple[str, ...] = ()
    """Rules that were not applied: about columns that the table lacks, or that compare
    several rows."""
    quarantine: RelativePath | None = None
    """Folder of the rows that this job quarantined, relative to the root; None without any."""
    base: int | None = None
    given_id: str | None = None
    file_columns: dict[str, FileColumns] = {}
    """Digest that files of the source name -> their columns."""
    snapshots: dict[str, Snapshot] = {}
    """Source table with a log -> its snapshot that was scored."""
    sources: dict[str, dict[str, Any]] = {}
    """Table name -> path, rows, and what there is to know of its files."""
    lists: ScoreLists | None = None
    """Where partitions, files and file columns are; None where they are in the record. Those of a
    record that was read are loaded when they are asked for."""

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Return the record as plain values, its lists read."""
        # Not while pydantic serializes: it would hide what is wrong with a manifest.
        lists = {name: load_list(getattr(self, name)) for name in LIST_NAMES}
        return BaseModel.model_dump(self.model_copy(update=lists), **options)

    @property
    def ledger(self) -> ScoreLedger:
        """Return the ledger of all rows that have predictions in this version."""
        if self.lists is not None and is_stored(self.partitions, self.build_id):
            return self.lists.ledger
        return ScoreLedger.merge_ledgers(p.ledger for p in self.partitions)

    @property
    def processed_ledger(self) -> ScoreLedger:
        """Return the ledger of the rows that this job read."""
        if self.lists is not None and is_stored(self.partitions, self.build_id):
            return self.lists.processed
        return ScoreLedger.merge_ledgers(
            p.ledger for p in self.partitions if p.build_id == self.build_id
        )
