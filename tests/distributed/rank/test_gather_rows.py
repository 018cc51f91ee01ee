"""Rows go to rank 0 alone, in the order of ranks; sums go to all."""

import numpy as np
import pytest

from headrace.distributed.rank import gather_rows
from headrace.distributed.rank.collectives import SoloCollectives
from headrace.distributed.rank.gather_rows import CollectiveSums, gather_to_rank_0
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import ignore_progress
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads


def test_rows_are_in_the_order_of_ranks_whatever_the_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rank r has 3r rows, and a piece takes two of them."""
    monkeypatch.setattr(gather_rows, "_PIECE_BYTES", 32)

    def gather(collectives: ThreadCollectives) -> np.ndarray:
        own = np.arange(3 * collectives.rank * 2, dtype=np.int64).reshape(-1, 2)
        return gather_to_rank_0(own + 100 * collectives.rank, collectives)

    first, *others = run_on_threads(3, gather)
    assert first.tolist() == [
        *([100 + 2 * i, 101 + 2 * i] for i in range(3)),
        *([200 + 2 * i, 201 + 2 * i] for i in range(6)),
    ]
    assert [(part.shape, part.dtype) for part in others] == [((0, 2), np.int64)] * 2


def test_a_rank_that_is_alone_keeps_its_array() -> None:
    rows = np.arange(3)
    assert gather_to_rank_0(rows, SoloCollectives()) is rows
    assert CollectiveSums(SoloCollectives()).add(rows) is rows


def test_sums_and_largest_values_are_on_every_rank() -> None:
    def add(collectives: ThreadCollectives) -> tuple[list, list]:
        sums = CollectiveSums(collectives)
        counts = np.array([[2**53 + 1, -1]], np.int64) * (collectives.rank + 1)
        values = np.array([-1.0, np.inf]) * (collectives.rank + 1)
        return sums.add(counts).tolist(), sums.find_largest(values).tolist()

    assert run_on_threads(2, add) == [([[3 * (2**53 + 1), -3]], [-1.0, np.inf])] * 2


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize("collectives", ["horovod", "tensorflow"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_both_kinds_of_collectives_gather_and_add(collectives: str, ranks: int) -> None:
    function = "tests.distributed.rank_functions:gather_and_add"
    task = RankTask(function, {}, collectives=collectives)
    result = run_ranks(task, ranks, ignore_progress)
    rows = [(rank, row) for rank in range(ranks) for row in range(200_000 * rank)]
    assert result["rows"] == len(rows)
    assert result["is_in_order"]
    assert result["sums"] == [ranks * (2**60 // 8 + 1)] * 3
