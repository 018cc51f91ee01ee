"""Deduplicate rows: of one key the latest stays.

It does where all rows of the key meet, at their target. Where they are as many as the lake's, all
of them would be in one task, so tasks fold those that they see before they send them: of one key
and source partition, the one stays that would win, and the others have lost whatever comes.
Partitions are kept apart, because a build records whose rows lost against whose.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.prepare.shuffle.row_hash import hash_rows
from headrace.source.dictionaries import take_rows, unify_dictionaries
from headrace.source.internal_columns import KEY_DIGEST, LATEST, PARTITION, ROW_ID, TIE_BREAKER
from headrace.source.keys import DIGEST_BYTES


def find_distinct_rows(
    table: pa.Table, raw: list[str], *, by_partition: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows that stay: of one key the latest, ties settled by all values.

    Rows without a key (KEY_DIGEST null) are no duplicates of any other.

    Args:
        table: all rows of a target.
        raw: columns whose values settle ties.
        by_partition: whether one row stays of every source partition that has the key.

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
        column = values[LATEST].combine_chunks()
        latest = pc.rank(column, "descending", tiebreaker="dense").to_numpy()  # nulls at the end
    tie = hash_rows([values[name] for name in raw], values[TIE_BREAKER].to_numpy().view(np.uint64))
    # Equal rows in several source partitions: the first partition keeps its row.
    partition = values[PARTITION].to_numpy()
    words = [identity[candidates], *_split_words(values[KEY_DIGEST])]
    if by_partition:
        words.append(partition)
    best_first = np.lexsort((partition, tie, latest, *reversed(words)))
    ordered = candidates[best_first]
    starts = np.ones(len(ordered), bool)
    starts[1:] = np.any([word[best_first][1:] != word[best_first][:-1] for word in words], axis=0)
    winner = ordered[np.maximum.accumulate(np.where(starts, np.arange(len(ordered)), 0))]
    losses = np.stack([ordered[~starts], winner[~starts]], axis=1)
    return np.setdiff1d(np.arange(rows), losses[:, 0], assume_unique=True), losses


def fold_duplicates(
    tables: list[pa.Table], chosen: np.ndarray, raw: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Fold the duplicates among some rows of a task, before they are sent.

    Args:
        tables: of the same columns.
        chosen: positions of the rows that count, in all tables together, rising.
        raw: columns whose values settle ties.

    Returns:
        positions of the rows that stay, rising; and the source partitions of those that go.
    """
    no_partitions = np.zeros(0, np.int32)
    if KEY_DIGEST not in tables[0].column_names:
        return chosen, no_partitions
    keys = pa.concat_tables([table.select([ROW_ID, KEY_DIGEST]) for table in tables])
    has_key = keys[KEY_DIGEST].is_valid().to_numpy()[chosen]
    keyed = chosen[has_key]
    identity = keys[ROW_ID].to_numpy()[keyed]
    rising = np.sort(identity)
    repeated = rising[1:][rising[1:] == rising[:-1]]
    if not len(repeated):  # as nearly always: a thirtieth of the time that finding them would take
        return chosen, no_partitions
    candidates = keyed[np.isin(identity, np.unique(repeated))]
    table = take_rows(unify_dictionaries(tables), pa.array(candidates), 1)
    _, losses = find_distinct_rows(table, raw, by_partition=True)
    losers = losses[:, 0]
    stay = np.setdiff1d(chosen, candidates[losers], assume_unique=True)
    return stay, table[PARTITION].to_numpy()[losers]


def _split_words(digests: pa.ChunkedArray) -> list[np.ndarray]:
    """Return digests, none of which is null, as columns of 64 bits."""
    if pa.types.is_integer(digests.type):  # of definition 1
        return [digests.to_numpy()]
    array = digests.combine_chunks().cast(pa.binary(DIGEST_BYTES))
    begin = array.offset * DIGEST_BYTES
    data = np.frombuffer(array.buffers()[1], np.uint8, len(array) * DIGEST_BYTES, begin)
    return list(data.view(np.uint64).reshape(len(array), -1).T)
