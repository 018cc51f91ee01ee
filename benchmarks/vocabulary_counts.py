"""Count what a lookup among the texts of a vocabulary compares and holds, however many there are.

    python -m benchmarks.growth --figures vocabulary_counts

The seconds of the same are the figure `vocabulary`; counts are the same on any machine.
"""

import gc
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa

_LOOKED_UP = 4_096
# What other threads and caches of a process make meanwhile; a block for each value would be more.
_FEW_BLOCKS = 64


def measure_vocabulary_counts(values: int) -> dict[str, float]:
    """Build the index of so many texts, and look 4,096 up, half of them known.

    Returns:
        `index_bytes`: of the index beside the texts; `index_blocks`: memory blocks of Python that
        it keeps; `compared`: texts of the vocabulary that the lookup read; `lookup_bytes`: the most
        that it held at once, by NumPy's and Arrow's account; `lookup_blocks`: blocks of Python that
        it made and kept.
    """
    from headrace.features.text_index import TextIndex

    texts = pa.array(np.char.add("u", np.arange(values).astype("U9")))
    blocks = _count_blocks()
    index = TextIndex.from_texts(texts)
    index_blocks = _count_blocks() - blocks
    if index.hashes is None or index.positions is None:
        raise RuntimeError(f"{values} texts are so few that they have no index")
    wanted = np.random.default_rng(0).integers(0, 2 * values, _LOOKED_UP)
    queries = pa.array(np.char.add("u", wanted.astype("U9")))
    counted = _CountedTexts(texts)
    with_counter = replace(index, texts=counted)  # type: ignore[arg-type]  # all that it reads
    arrow = pa.default_memory_pool()
    arrow_before = arrow.bytes_allocated()
    tracemalloc.start()
    try:
        positions = with_counter.find_positions(queries)
        lookup_bytes = tracemalloc.get_traced_memory()[1]
        blocks_made = sum(s.count for s in tracemalloc.take_snapshot().statistics("filename"))
    finally:
        tracemalloc.stop()
    lookup_bytes += max(arrow.bytes_allocated() - arrow_before, counted.bytes)
    if not np.array_equal(positions >= 0, wanted < values):
        raise RuntimeError("the index found other texts than it has")
    return {
        "index_bytes": index.hashes.nbytes + index.positions.nbytes,
        "index_blocks": max(_FEW_BLOCKS, index_blocks),
        "compared": counted.texts,
        "lookup_bytes": lookup_bytes,
        "lookup_blocks": max(_FEW_BLOCKS, blocks_made),
    }


class _CountedTexts:
    """The texts of an index, and how many of them were read, with their bytes."""

    def __init__(self, texts: pa.Array) -> None:
        self._texts, self.type = texts, texts.type
        self.texts = self.bytes = 0

    def __len__(self) -> int:
        return len(self._texts)

    def take(self, positions: pa.Array) -> pa.Array:
        taken = self._texts.take(positions)
        self.texts, self.bytes = self.texts + len(taken), self.bytes + taken.nbytes
        return taken


def _count_blocks() -> int:
    """Return how many blocks of memory Python's objects take now."""
    gc.collect()
    return sys.getallocatedblocks()
