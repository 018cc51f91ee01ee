"""Which keys of a joined table have other rows than before."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.source.lookups import DIGESTS, find_changed_keys, shorten_keys

ROWS = st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.binary(min_size=16, max_size=16))


def digests_of(rows: dict[int, bytes], chunks: int = 1) -> pa.Table:
    keys = list(rows)
    size = -(-len(keys) // chunks) or 1
    parts = [keys[i : i + size] for i in range(0, len(keys), size)]
    tables = [
        pa.table([pa.array(part, pa.int64()), pa.array([rows[k] for k in part], pa.binary(16))],
                 schema=DIGESTS)
        for part in parts
    ]  # fmt: skip
    return pa.concat_tables([DIGESTS.empty_table(), *tables])


def add_keys(rows: dict[int, bytes]) -> dict[int, bytes]:
    """A digest is of the key as well, so that two keys never have the same one."""
    return {key: key.to_bytes(8, "little", signed=True) + row[:8] for key, row in rows.items()}


@given(ROWS, ROWS, st.integers(1, 3))
def test_keys_that_changed_are_those_of_a_plain_comparison(
    common: dict[int, bytes], more: dict[int, bytes], chunks: int
) -> None:
    before = add_keys(common | {key: row for key, row in more.items() if key % 2})
    now = add_keys(common | {key: row for key, row in more.items() if key % 3})
    expected = {key for key in before | now if before.get(key) != now.get(key)}
    found = find_changed_keys(digests_of(before, chunks), digests_of(now, chunks))
    assert found.tolist() == sorted(expected)


@pytest.mark.parametrize("key", [0, -1, 2**63 - 1, -(2**63)])
def test_the_upper_half_of_a_key(key: int) -> None:
    assert shorten_keys(np.array([key], np.int64)).tolist() == [key >> 32]
