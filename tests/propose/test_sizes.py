"""Sizes that ranks can share, and a training that ends."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.sizes import model_section, train_section


@given(st.integers(0, 10**9))
def test_batches_can_be_cut_for_two_ranks_and_more(rows: int) -> None:
    section = train_section(rows)
    batch = section["global_batch_size"]
    assert batch & (batch - 1) == 0
    assert 16 <= batch <= 2048
    assert 3 <= section["epochs"] <= 30
    assert section["early_stopping"]["patience"] < section["epochs"]


def test_more_rows_larger_networks_and_batches_and_fewer_epochs() -> None:
    few, many = train_section(1_000), train_section(10_000_000)
    assert (few["epochs"], many["epochs"]) == (30, 3)
    assert (few["global_batch_size"], many["global_batch_size"]) == (16, 2048)
    assert model_section(100)["hidden"] == [16]
    assert model_section(10**6)["hidden"] == [128, 64]
