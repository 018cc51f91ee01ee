"""Count what an evaluation sends between ranks and keeps, by rows and by values of a slice column.

    python -m benchmarks.growth --figures evaluation_counts slice_counts

Two ranks are threads of this process, so that every byte that they hand each other is seen. The
seconds of the same are the figures `evaluation` and `slices`.
"""

import gc
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.evaluations import make_predicted_rows, score_value_slices

_EXACT_ROWS, _GATHERED_ROWS = 1_000, 500
_DRAWS, _MOST_SLICES = 20, 50


def measure_evaluation_counts(rows: int) -> dict[str, float]:
    """Evaluate so many rows on two ranks, in the way of many rows and in that of few.

    Returns:
        bytes that a rank hands the other one: `summed_bytes` of sums and histograms, where rows are
        more than `evaluate.exact_rows`; `chosen_bytes` of the rows for figures, and
        `gathered_bytes` of all rows, that rank 0 alone gets.
    """
    from headrace.distributed.rank.gather_rows import CollectiveSums
    from headrace.evaluate.predictions import gather_rows
    from headrace.evaluate.sketched import sketch_predictions
    from headrace.labels.spec import LabelSpec
    from headrace.recipe import sections as s
    from tests.train.ranks_on_threads import run_on_threads

    label = LabelSpec()
    settings = s.Evaluate(exact_rows=_EXACT_ROWS, bootstrap=_DRAWS)
    predicted = make_predicted_rows(rows)
    spec: Any = SimpleNamespace(label=label)

    def evaluate(collectives: Any) -> dict[str, float]:
        own = {n: array[collectives.rank :: collectives.size] for n, array in predicted.items()}
        counted = _CountedCollectives(collectives)
        sketch_predictions(own, label, 0.5, settings, CollectiveSums(counted))
        summed = counted.take_bytes()
        gather_rows(own, spec, counted, _GATHERED_ROWS)
        chosen = counted.take_bytes()
        gathered = gather_rows(own, spec, counted)
        if len(gathered["label"]) != (rows if collectives.rank == 0 else 0):
            raise RuntimeError("the rows are not on rank 0 alone")
        return {
            "summed_bytes": summed, "chosen_bytes": chosen, "gathered_bytes": counted.take_bytes(),
        }  # fmt: skip

    by_rank = run_on_threads(2, evaluate)
    return {name: max(costs[name] for costs in by_rank) for name in by_rank[0]}


def measure_slice_counts(values: int) -> dict[str, float]:
    """Score slices by a column of so many values, of which 50 are slices of their own.

    Returns:
        `slices`, and memory blocks of Python that their results keep.
    """
    settings = {"bootstrap": _DRAWS, "max_slices": _MOST_SLICES}
    score_value_slices(2 * _MOST_SLICES, **settings)  # what Python makes the first time
    gc.collect()
    before = sys.getallocatedblocks()
    results, notes = score_value_slices(values, **settings)
    gc.collect()
    if not any(f"{values:,} values" in note for note in notes):
        raise RuntimeError(f"the values that are no slice of their own are not counted: {notes}")
    return {"slices": len(results), "blocks": sys.getallocatedblocks() - before}


class _CountedCollectives:
    """The collectives of a rank, and how many bytes it hands the others."""

    def __init__(self, collectives: Any) -> None:
        self._collectives, self._bytes = collectives, 0
        self.rank, self.size = collectives.rank, collectives.size

    def take_bytes(self) -> int:
        """Return the bytes since the last time that it was asked."""
        taken, self._bytes = self._bytes, 0
        return taken

    def allreduce(self, tensors: list[Any]) -> list[Any]:
        self._bytes += sum(np.asarray(tensor).nbytes for tensor in tensors)
        reduced: list[Any] = self._collectives.allreduce(tensors)
        return reduced

    def allgather(self, array: np.ndarray) -> np.ndarray:
        self._bytes += array.nbytes
        gathered: np.ndarray = self._collectives.allgather(array)
        return gathered

    def alltoall_rows(self, rows: Any, counts: Any) -> tuple[Any, Any]:
        self._bytes += np.asarray(rows).nbytes + np.asarray(counts).nbytes
        received: tuple[Any, Any] = self._collectives.alltoall_rows(rows, counts)
        return received
