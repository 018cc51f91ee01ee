"""Measure how well a plan shuffles: how far apart in the dataset neighbouring rows of a batch were.

A full permutation of N rows puts neighbours at a median distance of N (1 - 1/√2), and a batch of B
rows has rows of as many row groups as chance gives. The plan permutes row groups, and rows within
blocks of several row groups of a shard, and a batch takes a slice of every shard; so this module
compares it with a full permutation. It reads no rows: the plan alone says where they go.
"""

import math
from dataclasses import dataclass

import numpy as np

from headrace.stream.plan import EpochPlan
from headrace.stream.row_ranges import RowGroupIndex

# Delivered rows that are measured, from the first on: 8 bytes each, in several arrays.
_MAX_ROWS = 4_000_000


@dataclass(frozen=True)
class ShuffleQuality:
    """The shuffle quality of one epoch, beside that of a full permutation.

    The fields are keys of `headrace inspect --shuffle --json`, so their names stay.

    Attributes:
        rows: delivered rows that were measured.
        distance: median distance of neighbours in the dataset, as a share of its rows.
        distance_full: the same for a full permutation.
        same_row_group: share of neighbours from one row group.
        same_row_group_full: the same for a full permutation.
        row_groups_a_batch: mean number of row groups in a global batch.
        row_groups_a_batch_full: the same for a full permutation.
        drift: rank correlation of a row's positions in the dataset and in the epoch; 0 if shuffled.
    """

    rows: int
    distance: float
    distance_full: float
    same_row_group: float
    same_row_group_full: float
    row_groups_a_batch: float
    row_groups_a_batch_full: float
    drift: float


def measure_shuffle(plan: EpochPlan, index: RowGroupIndex) -> ShuffleQuality:
    """Measure how well an epoch's plan shuffles its first four million rows.

    Args:
        plan: the plan of the epoch, for all shards.
        index: the row groups that were planned.
    """
    sizes = index.rows
    total = int(sizes.sum())
    batches = compute_batch_positions(plan, index, _MAX_ROWS)
    positions = np.concatenate(batches)
    ends = np.cumsum(sizes)
    groups = np.searchsorted(ends, positions, side="right")
    distances = np.abs(np.diff(positions))
    batch_rows = plan.slice_rows * len(plan.shards)
    groups_per_batch = [
        len(np.unique(groups[i : i + batch_rows])) for i in range(0, len(groups), batch_rows)
    ]
    share = sizes / total
    expected_groups = [float((1 - (1 - share) ** len(batch)).sum()) for batch in batches]
    drift = np.corrcoef(np.arange(len(positions)), positions)[0, 1] if len(positions) > 1 else 0.0
    return ShuffleQuality(
        rows=len(positions),
        distance=float(np.median(distances)) / total if len(distances) else 0.0,
        distance_full=1 - 1 / math.sqrt(2),
        same_row_group=float(np.mean(np.diff(groups) == 0)) if len(distances) else 0.0,
        same_row_group_full=float(np.square(share).sum()),
        row_groups_a_batch=float(np.mean(groups_per_batch)),
        row_groups_a_batch_full=float(np.mean(expected_groups)),
        drift=float(drift),
    )


def compute_batch_positions(
    plan: EpochPlan, index: RowGroupIndex, max_rows: int
) -> list[np.ndarray]:
    """Compute the positions in the dataset of the rows of each global batch, in delivered order.

    Args:
        plan: the plan of the epoch, for all shards.
        index: the row groups that were planned.
        max_rows: limit on the rows of all batches together; there is at least one batch.

    Returns:
        an int64 array of shape (rows,) per batch.
    """
    starts = np.cumsum(index.rows) - index.rows
    first_groups = index.find_first_groups()
    slice_rows = plan.slice_rows
    steps = max(1, min(plan.steps, max_rows // (slice_rows * len(plan.shards))))
    slices: list[list[np.ndarray]] = [[] for _ in range(steps)]
    for shard in plan.shards.values():
        block_positions: list[np.ndarray] = []
        shard_rows = 0
        for block in shard:
            if shard_rows >= steps * slice_rows:
                break
            rows = np.concatenate(
                [
                    starts[first_groups[r.file] + r.row_group] + np.arange(r.start, r.stop)
                    for r in block.ranges
                ]
            )
            if block.permutation_seed is not None:
                rows = rows[np.random.default_rng(block.permutation_seed).permutation(len(rows))]
            block_positions.append(rows)
            shard_rows += len(rows)
        positions = np.concatenate(block_positions) if block_positions else np.zeros(0, np.int64)
        for step in range(steps):
            slices[step].append(positions[step * slice_rows : (step + 1) * slice_rows])
    return [np.concatenate(shard_slices) for shard_slices in slices]
