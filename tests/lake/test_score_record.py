"""The ledger of a scoring job adds up or stops the job."""

from typing import Any

import pytest

from headrace.errors import LedgerError
from headrace.lake.score_record import ScoredPartition, ScoreLedger, ScoreRecord


def make_ledger(read: int, **changes: Any) -> ScoreLedger:
    fields = {"scored": 7, "quarantined": {"amount range": 2}, "filtered": 1} | changes
    return ScoreLedger(read=read, **fields)


def test_a_ledger_that_adds_up_passes() -> None:
    assert make_ledger(10).accounted_rows == 10
    make_ledger(10).check_balance("the table")


@pytest.mark.parametrize("read", [9, 11])
def test_a_difference_stops_the_job(read: int) -> None:
    with pytest.raises(
        LedgerError,
        match=rf"the ledger of day=1 does not add up: {read} rows read, 10 accounted for .*amount",
    ):
        make_ledger(read).check_balance("day=1")


def test_ledgers_are_summed_bucket_by_bucket() -> None:
    other = make_ledger(9, scored=4, quarantined={"amount range": 1, "day null": 3}, filtered=1)
    total = ScoreLedger.merge_ledgers(ledger for ledger in (make_ledger(10), other))
    assert total == ScoreLedger(
        read=19, scored=11, quarantined={"amount range": 3, "day null": 3}, filtered=2
    )
    assert ScoreLedger.merge_ledgers([]).accounted_rows == 0


def test_a_record_tells_all_rows_from_those_of_its_job() -> None:
    partitions = tuple(
        ScoredPartition(
            source="visits", name=name, build_id=job, model="models:/m/1", files=(),
            ledger=ScoreLedger(read=rows, scored=rows, quarantined={}, filtered=0),
        )
        for name, job, rows in (("day=1", "old", 5), ("day=2", "new", 3), ("day=3", "new", 4))
    )  # fmt: skip
    record = ScoreRecord(
        build_id="new", created_at="", headrace_version="0", recipe={}, source="visits",
        model="models:/m/1", run_id="r", dataset={}, threshold=None, columns={}, partition_by=(),
        partitions=partitions, files=(),
    )  # fmt: skip
    assert (record.ledger.read, record.processed_ledger.read) == (12, 7)
