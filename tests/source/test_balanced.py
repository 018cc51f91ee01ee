"""Columns are combined in their order, and none of them lies deep."""

import pytest

from headrace.source.balanced import combine_balanced


@pytest.mark.parametrize("count", [*range(1, 20), 62, 63, 64, 1000])
def test_in_order_and_flat(count: int) -> None:
    items = [(str(number), 0) for number in range(count)]
    text, depth = combine_balanced(items, lambda a, b: (f"{a[0]},{b[0]}", 1 + max(a[1], b[1])))
    assert text == ",".join(map(str, range(count)))
    assert depth == (count - 1).bit_length()
