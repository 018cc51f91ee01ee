"""How well the plan mixes, measured: full permutations score 1, order scores 0."""

import numpy as np
import pytest

from headrace.stream.plan import RowGroup, plan_epoch, row_groups_of
from headrace.stream.shuffle import ShuffleQuality, places_in_order, shuffle_quality

GROUPS = row_groups_of([[500] * 20] * 4)  # 40,000 rows


def quality(groups: list[RowGroup] = GROUPS, **changes: object) -> ShuffleQuality:
    usual = {"canonical_shards": 8, "global_batch_size": 256, "block_rows": 2000}
    usual |= {"shuffle": True, "seed": 3, "epoch": 0}
    return shuffle_quality(plan_epoch(groups, **{**usual, **changes}), groups)  # type: ignore[arg-type]


def test_places_are_those_of_the_rows_that_are_delivered() -> None:
    groups = row_groups_of([[5, 0, 3], [4]])
    plan = plan_epoch(
        groups,
        canonical_shards=2,
        global_batch_size=4,
        block_rows=3,
        shuffle=False,
        seed=0,
        epoch=0,
    )
    batches = [batch.tolist() for batch in places_in_order(plan, groups, 1000)]
    assert batches == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert [len(b) for b in places_in_order(plan, groups, 8)] == [4, 4]


def test_one_block_of_all_rows_is_a_full_permutation() -> None:
    found = quality(canonical_shards=1, block_rows=40_000)
    assert found.rows == 40_000
    assert found.distance == pytest.approx(found.distance_full, rel=0.03)
    assert found.same_row_group == pytest.approx(found.same_row_group_full, rel=0.2)
    assert found.row_groups_a_batch == pytest.approx(found.row_groups_a_batch_full, rel=0.02)
    assert abs(found.drift) < 0.02


def test_rows_in_order_are_not_mixed() -> None:
    found = quality(canonical_shards=1, shuffle=False)
    assert found.distance == pytest.approx(1 / 40_000)
    assert found.same_row_group > 0.99
    assert found.row_groups_a_batch < 2
    assert found.drift == pytest.approx(1)


def test_larger_blocks_and_more_shards_mix_better() -> None:
    few, more, large = quality(), quality(canonical_shards=64), quality(block_rows=5000)
    assert few.row_groups_a_batch < more.row_groups_a_batch
    assert few.row_groups_a_batch < large.row_groups_a_batch
    assert large.same_row_group < few.same_row_group


def test_a_part_of_a_large_split_is_looked_at() -> None:
    groups = row_groups_of([[10_000] * 100] * 5)  # 5 million rows
    found = quality(groups, global_batch_size=4096, canonical_shards=64, block_rows=16_384)
    assert 3_900_000 < found.rows <= 4_000_000
    assert np.isfinite(found.drift)
