"""Of rows with one key the latest: what stays, and what it won against."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.prepare.shuffle.row_hash import row_hashes
from headrace.source.internal_columns import LATEST, PARTITION, ROW_ID, TIE, TWIN


def distinct_rows(table: pa.Table, raw: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which rows stay: of one key the latest, ties settled by all values.

    Rows without a key (TWIN null) are no duplicates of any other.

    Returns:
        positions of the rows that stay, rising; and int64 of shape (lost, 2): the position of each
        row that goes and of the row that it lost against.
    """
    rows = table.num_rows
    none = np.zeros((0, 2), np.int64)
    if TWIN not in table.column_names:
        return np.arange(rows), none
    identity = table[ROW_ID].to_numpy()
    keyed = table[TWIN].is_valid().to_numpy()
    twin = pc.fill_null(table[TWIN], 0).to_numpy()
    by_identity = np.argsort(identity, kind="stable")
    again = identity[by_identity][1:] == identity[by_identity][:-1]
    shared = np.zeros(rows, bool)
    shared[1:] |= again
    shared[:-1] |= again
    rivals = by_identity[shared]
    rivals = rivals[keyed[rivals]]
    if not len(rivals):
        return np.arange(rows), none
    some = table.take(pa.array(rivals))
    latest = np.zeros(len(rivals), np.uint64)
    if LATEST in some.column_names:
        latest = pc.rank(
            some[LATEST].combine_chunks(), "descending", null_placement="at_end", tiebreaker="dense"
        ).to_numpy()
    tie = row_hashes([some[name] for name in raw], some[TIE].to_numpy().view(np.uint64))
    # Equal rows in several source partitions: the first partition keeps its row.
    partition = some[PARTITION].to_numpy()
    best = np.lexsort((partition, tie, latest, twin[rivals], identity[rivals]))
    ordered = rivals[best]
    starts = np.ones(len(ordered), bool)
    starts[1:] = (identity[ordered][1:] != identity[ordered][:-1]) | (
        twin[ordered][1:] != twin[ordered][:-1]
    )
    winner = ordered[np.maximum.accumulate(np.where(starts, np.arange(len(ordered)), 0))]
    losses = np.stack([ordered[~starts], winner[~starts]], axis=1)
    return np.setdiff1d(np.arange(rows), losses[:, 0], assume_unique=True), losses
