"""Deduplicate the rows of a target: of one key the latest stays."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.prepare.shuffle.row_hash import hash_rows
from headrace.source.internal_columns import KEY_DIGEST, LATEST, PARTITION, ROW_ID, TIE_BREAKER
from headrace.source.keys import DIGEST_BYTES


def find_distinct_rows(table: pa.Table, raw: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows that stay: of one key the latest, ties settled by all values.

    Rows without a key (KEY_DIGEST null) are no duplicates of any other.

    Args:
        table: all rows of a target.
        raw: columns whose values settle ties.

    Returns:
        positions of the rows that stay, rising; and int64 of shape (duplicates, 2): the position of
        each row that goes, and of the row that it lost against.
    """
    rows = table.num_rows
    no_losses = np.zeros((0, 2), np.int64)
    if KEY_DIGEST not in table.column_names:
        return np.arange(rows), no_losses
    identity = table[ROW_ID].to_numpy()
    has_key = table[KEY_DIGEST].is_valid().to_numpy()
    by_identity = np.argsort(identity, kind="stable")
    repeats = identity[by_identity][1:] == identity[by_identity][:-1]
    is_shared = np.zeros(rows, bool)
    is_shared[1:] |= repeats
    is_shared[:-1] |= repeats
    candidates = by_identity[is_shared]
    candidates = candidates[has_key[candidates]]
    if not len(candidates):
        return np.arange(rows), no_losses
    values = table.take(pa.array(candidates))
    latest = np.zeros(len(candidates), np.uint64)
    if LATEST in values.column_names:
        latest = pc.rank(
            values[LATEST].combine_chunks(),
            "descending",
            null_placement="at_end",
            tiebreaker="dense",
        ).to_numpy()
    tie = hash_rows([values[name] for name in raw], values[TIE_BREAKER].to_numpy().view(np.uint64))
    # Equal rows in several source partitions: the first partition keeps its row.
    partition = values[PARTITION].to_numpy()
    words = [identity[candidates], *_split_words(values[KEY_DIGEST])]
    best_first = np.lexsort((partition, tie, latest, *reversed(words)))
    ordered = candidates[best_first]
    starts = np.ones(len(ordered), bool)
    starts[1:] = np.any([word[best_first][1:] != word[best_first][:-1] for word in words], axis=0)
    winner = ordered[np.maximum.accumulate(np.where(starts, np.arange(len(ordered)), 0))]
    losses = np.stack([ordered[~starts], winner[~starts]], axis=1)
    return np.setdiff1d(np.arange(rows), losses[:, 0], assume_unique=True), losses


def _split_words(digests: pa.ChunkedArray) -> list[np.ndarray]:
    """Return digests, none of which is null, as columns of 64 bits."""
    if pa.types.is_integer(digests.type):  # of definition 1
        return [digests.to_numpy()]
    array = digests.combine_chunks().cast(pa.binary(DIGEST_BYTES))
    begin = array.offset * DIGEST_BYTES
    data = np.frombuffer(array.buffers()[1], np.uint8, len(array) * DIGEST_BYTES, begin)
    return list(data.view(np.uint64).reshape(len(array), -1).T)
