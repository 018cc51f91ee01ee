"""The order of rounds, in which no contender is always the first."""

from benchmarks.contest import order_labels


def test_the_order_is_reversed_in_every_second_round() -> None:
    assert [order_labels(["a", "b", "c"], number) for number in range(3)] == [
        ["a", "b", "c"],
        ["c", "b", "a"],
        ["a", "b", "c"],
    ]
