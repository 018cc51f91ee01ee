"""The ledger adds up or stops the build."""

import pytest

from headrace.errors import LedgerError
from headrace.lake import Ledger


def make_ledger(read: int) -> Ledger:
    return Ledger(
        read=read,
        published={"train": 60, "validation": 20, "test": 10},
        quarantined={"amount not_null": 4},
        duplicates=3,
        filtered={"label is null": 3},
    )


def test_a_ledger_that_adds_up_passes() -> None:
    make_ledger(100).check_balance()


@pytest.mark.parametrize(("read", "difference"), [(99, "+1"), (103, "-3")])
def test_a_difference_stops_the_build_and_shows_every_bucket(read: int, difference: str) -> None:
    with pytest.raises(LedgerError) as caught:
        make_ledger(read).check_balance()
    text = str(caught.value)
    assert f"difference {difference}" in text
    assert "published train 60" in text
    assert "quarantined (amount not_null) 4" in text
    assert "Nothing was published" in text


def test_ledgers_are_summed_bucket_by_bucket() -> None:
    other = Ledger(
        read=7,
        published={"test": 2, "extra": 1},
        quarantined={"day range": 3},
        duplicates=1,
        filtered={"label is null": 0},
    )
    total = Ledger.merge_ledgers([make_ledger(100), other])
    assert total == Ledger(
        read=107,
        published={"train": 60, "validation": 20, "test": 12, "extra": 1},
        quarantined={"amount not_null": 4, "day range": 3},
        duplicates=4,
        filtered={"label is null": 3},
    )
    assert list(total.published) == ["train", "validation", "test", "extra"]
    assert total.accounted_rows == 107


def test_the_sum_of_no_ledgers_is_empty() -> None:
    total = Ledger.merge_ledgers([])
    assert (total.read, total.accounted_rows) == (0, 0)


def test_a_bucket_is_a_line() -> None:
    assert make_ledger(1234).describe_buckets() == [
        "read 1,234",
        "published train 60",
        "published validation 20",
        "published test 10",
        "quarantined (amount not_null) 4",
        "duplicates 3",
        "filtered (label is null) 3",
    ]
