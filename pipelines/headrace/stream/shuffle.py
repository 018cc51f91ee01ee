"""How well the plan mixes: neighbours of the output, and how far apart they were in the dataset.

A full permutation of N rows puts neighbours at a median distance of N (1 - 1/√2), and a batch of B
rows takes them from as many row groups as chance gives. The plan permutes row groups, and rows
within blocks of several row groups of a shard, and a batch takes a slice of every shard; so what is
measured here against a full permutation is what that costs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.stream.plan import EpochPlan, RowGroup

# Rows of the output that are looked at, from the first on: 8 bytes each, some times over.
_MOST_ROWS = 4_000_000


@dataclass(frozen=True)
class ShuffleQuality:
    """Of one epoch; every figure beside that of a full permutation.

    Attributes:
        rows: of the output that were looked at.
        distance: median distance of neighbours in the dataset, as a share of its rows.
        distance_full: the same of a full permutation.
        same_row_group: share of neighbours that are of one row group.
        same_row_group_full: the same of a full permutation.
        row_groups_a_batch: mean number of row groups that a global batch has rows of.
        row_groups_a_batch_full: the same of a full permutation.
        drift: rank correlation of a row's place in the dataset and in the output; 0 if mixed.
    """

    rows: int
    distance: float
    distance_full: float
    same_row_group: float
    same_row_group_full: float
    row_groups_a_batch: float
    row_groups_a_batch_full: float
    drift: float


def shuffle_quality(plan: EpochPlan, row_groups: Sequence[RowGroup]) -> ShuffleQuality:
    """Measure an epoch's plan, of its first four million rows at most.

    Args:
        plan: of the epoch.
        row_groups: those that it was made of.
    """
    sizes = np.array([group.rows for group in row_groups], np.int64)
    total = int(sizes.sum())
    batches = places_in_order(plan, row_groups, _MOST_ROWS)
    places = np.concatenate(batches)
    ends = np.cumsum(sizes)
    groups = np.searchsorted(ends, places, side="right")
    apart = np.abs(np.diff(places))
    batch = plan.slice_rows * len(plan.shards)
    of_batch = [len(np.unique(groups[i : i + batch])) for i in range(0, len(groups), batch)]
    share = sizes / total
    expected = [float((1 - (1 - share) ** len(found)).sum()) for found in batches]
    drift = np.corrcoef(np.arange(len(places)), places)[0, 1] if len(places) > 1 else 0.0
    return ShuffleQuality(
        rows=len(places),
        distance=float(np.median(apart)) / total if len(apart) else 0.0,
        distance_full=1 - 1 / math.sqrt(2),
        same_row_group=float(np.mean(np.diff(groups) == 0)) if len(apart) else 0.0,
        same_row_group_full=float(np.square(share).sum()),
        row_groups_a_batch=float(np.mean(of_batch)),
        row_groups_a_batch_full=float(np.mean(expected)),
        drift=float(drift),
    )


def places_in_order(
    plan: EpochPlan, row_groups: Sequence[RowGroup], most_rows: int
) -> list[np.ndarray]:
    """Places in the dataset of the rows of one global batch after the other.

    Args:
        plan: of the epoch.
        row_groups: those that it was made of, in canonical order.
        most_rows: batches end where there would be more rows.
    """
    starts = np.cumsum([0, *(group.rows for group in row_groups)])
    start = {(g.file, g.index): int(s) for g, s in zip(row_groups, starts, strict=False)}
    width = plan.slice_rows
    steps = max(1, min(plan.steps, most_rows // (width * len(plan.shards))))
    slices: list[list[np.ndarray]] = [[] for _ in range(steps)]
    for shard in plan.shards:
        parts: list[np.ndarray] = []
        have = 0
        for block in shard:
            if have >= steps * width:
                break
            rows = np.concatenate(
                [start[r.file, r.row_group] + np.arange(r.start, r.stop) for r in block.ranges]
            )
            if block.permutation_seed is not None:
                rows = rows[np.random.default_rng(block.permutation_seed).permutation(len(rows))]
            parts.append(rows)
            have += len(rows)
        line = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        for step in range(steps):
            slices[step].append(line[step * width : (step + 1) * width])
    return [np.concatenate(parts) for parts in slices]
