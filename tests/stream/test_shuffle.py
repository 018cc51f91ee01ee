"""How well a plan shuffles, measured between a full permutation and the dataset's own order."""

import numpy as np
import pytest

from headrace.stream.plan import plan_epoch
from headrace.stream.row_ranges import RowGroupIndex, index_row_groups
from headrace.stream.shuffle import ShuffleQuality, compute_batch_positions, measure_shuffle

GROUPS = index_row_groups([[500] * 20] * 4)  # 40,000 rows


def measure(groups: RowGroupIndex = GROUPS, **changes: object) -> ShuffleQuality:
    options = {"canonical_shards": 8, "global_batch_size": 256, "block_rows": 2000}
    options |= {"shuffle": True, "seed": 3, "epoch": 0}
    return measure_shuffle(plan_epoch(groups, **{**options, **changes}), groups)  # type: ignore[arg-type]


def test_positions_are_those_of_the_delivered_rows() -> None:
    groups = index_row_groups([[5, 0, 3], [4]])
    plan = plan_epoch(
        groups,
        canonical_shards=2,
        global_batch_size=4,
        block_rows=3,
        shuffle=False,
        seed=0,
        epoch=0,
    )
    batches = [batch.tolist() for batch in compute_batch_positions(plan, groups, 1000)]
    assert batches == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert [len(b) for b in compute_batch_positions(plan, groups, 8)] == [4, 4]


def test_one_block_of_all_rows_is_a_full_permutation() -> None:
    quality = measure(canonical_shards=1, block_rows=40_000)
    assert quality.rows == 40_000
    assert quality.distance == pytest.approx(quality.distance_full, rel=0.03)
    assert quality.same_row_group == pytest.approx(quality.same_row_group_full, rel=0.2)
    assert quality.row_groups_a_batch == pytest.approx(quality.row_groups_a_batch_full, rel=0.02)
    assert abs(quality.drift) < 0.02


def test_rows_in_order_are_not_shuffled() -> None:
    quality = measure(canonical_shards=1, shuffle=False)
    assert quality.distance == pytest.approx(1 / 40_000)
    assert quality.same_row_group > 0.99
    assert quality.row_groups_a_batch < 2
    assert quality.drift == pytest.approx(1)


def test_larger_blocks_and_more_shards_shuffle_better() -> None:
    few, more, large = measure(), measure(canonical_shards=64), measure(block_rows=5000)
    assert few.row_groups_a_batch < more.row_groups_a_batch
    assert few.row_groups_a_batch < large.row_groups_a_batch
    assert large.same_row_group < few.same_row_group


def test_a_part_of_a_large_split_is_measured() -> None:
    groups = index_row_groups([[10_000] * 100] * 5)  # 5 million rows
    quality = measure(groups, global_batch_size=4096, canonical_shards=64, block_rows=16_384)
    assert 3_900_000 < quality.rows <= 4_000_000
    assert np.isfinite(quality.drift)
