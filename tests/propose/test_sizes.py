"""Check that ranks can share the batches, and that training ends soon."""

from hypothesis import given
from hypothesis import strategies as st

from headrace.propose.sizes import build_model_section, build_train_section


@given(st.integers(0, 10**9))
def test_batches_can_be_divided_by_two_ranks_and_more(rows: int) -> None:
    section = build_train_section(rows)
    batch = section["global_batch_size"]
    assert batch & (batch - 1) == 0
    assert 16 <= batch <= 2048
    assert 3 <= section["epochs"] <= 100
    assert section["early_stopping"]["patience"] < section["epochs"]


def test_more_rows_larger_networks_and_batches_and_fewer_epochs() -> None:
    few, many = build_train_section(1_000), build_train_section(10_000_000)
    assert (few["epochs"], many["epochs"]) == (100, 3)
    assert (few["global_batch_size"], many["global_batch_size"]) == (16, 2048)
    assert build_model_section(100)["hidden"] == [32]
    assert build_model_section(10**6)["hidden"] == [128, 64]


def test_an_image_has_a_convolutional_network() -> None:
    assert build_model_section(1_000, has_image=True)["kind"] == "cnn"
    assert build_train_section(1_000, has_image=True)["epochs"] == 30
