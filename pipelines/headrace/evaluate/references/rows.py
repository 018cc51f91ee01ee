"""Read rows of a dataset version on one rank, a row group at a time: all of a split, or a sample.

Which rows a sample has depends on the dataset version alone, not on batches, shards or ranks.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from headrace.lake.damage import explain_damage
from headrace.lake.data_file import SplitName
from headrace.lake.storage import explain_storage_errors, open_filesystem
from headrace.lake.version import DatasetVersion
from headrace.stream.columns import Columns

_MIN_GROUPS = 64  # row groups that a sample is taken from, where there are so many


def choose_row_groups(row_groups: Sequence[int], rows: int | None) -> list[tuple[int, int]]:
    """Choose row groups from all over a split, and how many of the first rows to take of each.

    Args:
        row_groups: rows of each row group, in canonical order.
        rows: most rows to take; None for all.

    Returns:
        positions and rows, ascending by position. The rows of a row group are in random order.
    """
    total = sum(row_groups)
    if rows is None or rows >= total:
        return list(enumerate(row_groups))
    average = max(1, total // len(row_groups))
    groups = min(len(row_groups), rows, max(_MIN_GROUPS, -(-rows // average) * 2))
    positions = np.unique(np.linspace(0, len(row_groups) - 1, groups).astype(int)).tolist()
    available = sum(row_groups[p] for p in positions)
    share = min(1.0, rows / available)
    # Floors never add up to more; a group of few rows gives one at least.
    chosen = [(p, max(1, int(row_groups[p] * share))) for p in positions]
    taken, result = 0, []
    for position, count in chosen:
        allowed = min(count, rows - taken)
        if allowed > 0:
            result.append((position, allowed))
            taken += allowed
    return result


def read_blocks(
    dataset: DatasetVersion, split: SplitName, columns: Columns, rows: int | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the arrays of rows, some thousands at a time, in canonical order.

    Args:
        dataset: to read.
        split: of it.
        columns: to read, and their arrays.
        rows: most rows; see `choose_row_groups`.

    Raises:
        UnreachableError: the store does not answer, or a file is missing.
        DatasetError, StreamError: a file cannot be read, or has other columns.
    """
    files = dataset.list_files(split)
    places = [(file, i) for file in files for i in range(len(file.row_groups))]
    chosen = choose_row_groups([file.row_groups[i] for file, i in places], rows)
    filesystem, root = open_filesystem(dataset.root)
    names = columns.list_names()
    opened: Any = None
    path = ""
    try:
        for position, count in chosen:
            file, index = places[position]
            where = f"{dataset.root}/{file.path}"
            with explain_storage_errors(dataset.root), explain_damage(where):
                if file.path != path:
                    if opened is not None:
                        opened.close()
                    path, opened = file.path, filesystem.open(f"{root}/{file.path}", "rb")
                    parquet = pq.ParquetFile(opened, page_checksum_verification=True)
                table = parquet.read_row_group(index, columns=names).slice(0, count)
            arrays = columns.allocate_arrays(table.num_rows)
            columns.fill_arrays(arrays, 0, table)
            yield arrays
    finally:
        if opened is not None:
            opened.close()


def read_rows(
    dataset: DatasetVersion, split: SplitName, columns: Columns, rows: int | None = None
) -> dict[str, np.ndarray]:
    """Return the arrays of `read_blocks`, joined; of a split without rows they are empty."""
    blocks = list(read_blocks(dataset, split, columns, rows))
    if not blocks:
        return columns.allocate_arrays(0)
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
