"""The ledger adds up or stops the build."""

import pytest

from headrace.errors import LedgerError
from headrace.lake import Ledger


def ledger(read: int) -> Ledger:
    return Ledger(
        read=read,
        published={"train": 60, "validation": 20, "test": 10},
        quarantined={"amount not_null": 4},
        duplicates=3,
        filtered={"label is null": 3},
    )


def test_a_ledger_that_adds_up_passes() -> None:
    ledger(100).check()


@pytest.mark.parametrize(("read", "difference"), [(99, "+1"), (103, "-3")])
def test_a_difference_stops_the_build_and_shows_every_bucket(read: int, difference: str) -> None:
    with pytest.raises(LedgerError) as caught:
        ledger(read).check()
    text = str(caught.value)
    assert f"difference {difference}" in text
    assert "published train 60" in text
    assert "quarantined (amount not_null) 4" in text
    assert "Nothing was published" in text
