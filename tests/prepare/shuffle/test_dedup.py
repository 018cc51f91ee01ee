"""Of rows with one key the latest stays, whatever order they come in."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from headrace.prepare.shuffle.dedup import find_distinct_rows
from headrace.source.internal_columns import KEY_DIGEST, LATEST, PARTITION, ROW_ID, TIE_BREAKER


def table_of(
    identity: Sequence[int],
    *,
    second: Sequence[int | None] | None = None,
    latest: Sequence[int | None] | None = None,
    partition: Sequence[int] | None = None,
    x: Sequence[float] | None = None,
) -> pa.Table:
    rows = len(identity)
    columns = {
        ROW_ID: pa.array(identity, pa.int64()),
        KEY_DIGEST: pa.array(second or [1] * rows, pa.int64()),
        TIE_BREAKER: pa.array([0] * rows, pa.int64()),
        PARTITION: pa.array(partition or [0] * rows, pa.int32()),
        "x": pa.array(x or [0.0] * rows),
    }
    if latest is not None:
        columns[LATEST] = pa.array(latest, pa.int64())
    return pa.table(columns)


def with_digests(table: pa.Table, definition: int) -> pa.Table:
    """Keys by a definition: numbers, or 16 bytes of which only the last differ."""
    if definition == 1:
        return table
    words = [None if n is None else n.to_bytes(16, "big") for n in table[KEY_DIGEST].to_pylist()]
    index = table.column_names.index(KEY_DIGEST)
    return table.set_column(index, KEY_DIGEST, pa.array(words, pa.binary()))


@pytest.mark.parametrize("definition", [1, 2])
@pytest.mark.parametrize(
    ("table", "distinct", "losses"),
    [
        (table_of([7, 8, 9]), [0, 1, 2], []),  # no key twice
        (table_of([7, 8, 7], latest=[1, 1, 2]), [1, 2], [[0, 2]]),
        (table_of([7, 8, 7], latest=[2, 1, 1]), [0, 1], [[2, 0]]),
        (table_of([7, 7], latest=[None, 1]), [1], [[0, 1]]),  # a null is before all others
        (table_of([7, 7], second=[1, 2]), [0, 1], []),  # two keys of one hash
        (table_of([7, 7], second=[None, None]), [0, 1], []),  # no key: no duplicate
        (table_of([7, 7], second=[None, 1]), [0, 1], []),
        (table_of([7, 7], partition=[1, 0]), [1], [[0, 1]]),  # equal rows: the first partition's
        (table_of([7, 7, 7], latest=[1, 3, 2]), [1], [[2, 1], [0, 1]]),
    ],
)
def test_rows_that_stay(
    table: pa.Table, distinct: list[int], losses: list[list[int]], definition: int
) -> None:
    rows, lost = find_distinct_rows(with_digests(table, definition), ["x"])
    assert rows.tolist() == distinct
    assert lost.tolist() == losses


def test_ties_are_settled_by_values_and_not_by_the_order() -> None:
    x = [0.5, 1.5, 2.5, 3.5]
    winners = set()
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        distinct, _ = find_distinct_rows(table_of([7] * 4, x=[x[i] for i in order]), ["x"])
        assert len(distinct) == 1
        winners.add(x[order[distinct[0]]])
    assert len(winners) == 1


def test_one_bit_of_a_digest_tells_two_keys_apart() -> None:
    digests = [bytes(16), *(bytes(i) + b"\x01" + bytes(15 - i) for i in range(16))]
    table = table_of([7] * 34)
    index = table.column_names.index(KEY_DIGEST)
    table = table.set_column(index, KEY_DIGEST, pa.array(digests * 2, pa.binary()))
    distinct, losses = find_distinct_rows(table.slice(1), ["x"])
    assert len(distinct) == 17
    assert all(abs(a - b) == 17 for a, b in losses.tolist())


def test_without_a_dedup_key_all_rows_stay() -> None:
    table = table_of([7, 7]).drop_columns([KEY_DIGEST])
    distinct, losses = find_distinct_rows(table, ["x"])
    assert distinct.tolist() == [0, 1]
    assert losses.shape == (0, 2)
    assert losses.dtype == np.int64
